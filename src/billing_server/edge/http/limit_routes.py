"""`/v1/limits`, limits and balances of customers, lost agents' leases, and `/v1/audit`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.domain.catalog.read_limit import limit_from_dict, limit_to_dict
from billing_server.edge.http.convert import all_to_json, page_to_json
from billing_server.edge.http.limit_json import (
    audit_to_json,
    balance_to_json,
    forgotten_to_json,
    limit_view_to_json,
    threshold_to_json,
)
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_limits import (
    AuditEntryAnswer,
    BalanceAnswer,
    BalanceEntryRequest,
    ForgottenAgentAnswer,
    LimitAnswer,
    LimitRequest,
    LimitViewAnswer,
    PlanLimitAnswer,
    ReleasedLeaseAnswer,
    ThresholdEventAnswer,
    given_limit,
)
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Caller, Context
from billing_server.services.audit import list_audit
from billing_server.services.forget_agent import forget_agent, release_lease
from billing_server.services.limit_views import (
    list_plan_limits,
    list_threshold_events,
    show_limits,
)
from billing_server.services.prepaid_balance import add_to_balance, show_balance
from billing_server.services.set_limits import remove_limit, set_limit
from metering.errors import ValidationError

router = APIRouter(route_class=ApiRoute)
LEASE_ID_DIGITS = 32


@router.get("/limits", response_model=ListAnswer[PlanLimitAnswer], tags=["limits"])
def get_plan_limits(context: Context) -> Any:
    """List the limits of the newest version of every plan."""
    return all_to_json(
        list_plan_limits(context),
        show=lambda each: {"plan": each[0], "limit": limit_to_dict(each[1])},
    )


@router.get(
    "/limits/threshold-events", response_model=ListAnswer[ThresholdEventAnswer], tags=["limits"]
)
def get_threshold_events(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only those of one customer.")] = None,
) -> Any:
    """List thresholds that were passed, rising or falling, in the order in which it was seen."""
    found = list_threshold_events(context, customer_id=customer, page=page)
    return page_to_json(found, show=threshold_to_json)


@router.get(
    "/customers/{customer_id:path}/limits",
    response_model=ListAnswer[LimitViewAnswer],
    tags=["limits"],
)
def get_limits(customer_id: str, context: Context) -> Any:
    """Show the limits of a customer: what is used, reserved, leased where, presumed, and left."""
    return all_to_json(show_limits(context, customer_id=customer_id), show=limit_view_to_json)


@router.put(
    "/customers/{customer_id:path}/limits/{key}", response_model=LimitAnswer, tags=["limits"]
)
def put_limit(
    customer_id: str, key: str, request: LimitRequest, context: Context, caller: Caller
) -> Any:
    """Give a customer a limit of its own, or change it; agents hear of it at once."""
    limit = limit_from_dict({"key": key, **given_limit(request)})
    set_limit(context, customer_id=customer_id, limit=limit, actor=caller)
    return {"customer": customer_id, "limit": limit_to_dict(limit)}


@router.delete(
    "/customers/{customer_id:path}/limits/{key}",
    response_model=ListAnswer[LimitViewAnswer],
    tags=["limits"],
)
def delete_limit(customer_id: str, key: str, context: Context, caller: Caller) -> Any:
    """Take a customer's own limit away; shows the limits that hold then."""
    remove_limit(context, customer_id=customer_id, key=key, actor=caller)
    return all_to_json(show_limits(context, customer_id=customer_id), show=limit_view_to_json)


@router.get("/customers/{customer_id:path}/balance", response_model=BalanceAnswer, tags=["limits"])
def get_balance(customer_id: str, context: Context) -> Any:
    """Show what was put into a customer's prepaid balance, and what is left of it."""
    return balance_to_json(show_balance(context, customer_id=customer_id))


@router.post("/customers/{customer_id:path}/balance", response_model=BalanceAnswer, tags=["limits"])
def post_balance(
    customer_id: str, request: BalanceEntryRequest, context: Context, caller: Caller
) -> Any:
    """Put money into a customer's balance, or take it out; the same entry is entered once."""
    balance = add_to_balance(
        context,
        customer_id=customer_id,
        entry_id=request.id,
        amount=request.amount,
        note=request.note,
        actor=caller,
    )
    return balance_to_json(balance)


@router.post("/agents/{name}/forget", response_model=ForgottenAgentAnswer, tags=["agents"])
def post_forget(name: str, context: Context, caller: Caller) -> Any:
    """Declare an agent lost: what its leases hold is presumed used, and never billed."""
    return forgotten_to_json(forget_agent(context, name=name, actor=caller))


@router.post("/leases/{lease_id}/release", response_model=ReleasedLeaseAnswer, tags=["limits"])
def post_release(lease_id: str, context: Context, caller: Caller) -> Any:
    """Give what a lost agent is presumed to have used back to its limit."""
    lease = release_lease(context, lease_id=_lease_id(lease_id), actor=caller)
    return {"lease": lease_id, "customer": lease.key.customer_id, "limit": lease.key.limit_key}


@router.get("/audit", response_model=ListAnswer[AuditEntryAnswer], tags=["audit"])
def get_audit(context: Context, page: WantedPage) -> Any:
    """List what was done by whom, the newest first."""
    return page_to_json(list_audit(context, page=page), show=audit_to_json)


def _lease_id(text: str) -> bytes:
    try:
        if len(text) == LEASE_ID_DIGITS:
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise ValidationError(
        reason="LEASE_ID_MALFORMED",
        message=f"lease: an id has {LEASE_ID_DIGITS} hexadecimal digits, as the limits of a "
        "customer show it",
    )
