"""`/v1/quarantine` and `/v1/conflicts`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.edge.http.convert import (
    all_to_json,
    conflict_to_json,
    page_to_json,
    waiting_to_json,
)
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_quarantine import (
    ConflictAnswer,
    DiscardAnswer,
    DiscardConflictsRequest,
    DiscardRequest,
    QuarantinedEventAnswer,
    ReassignRequest,
    RedriveAnswer,
    RedriveRequest,
)
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Caller, Context
from billing_server.services.discard_quarantine import discard_conflicts, discard_quarantine
from billing_server.services.list_quarantine import list_conflicts, list_quarantine
from billing_server.services.pages import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from billing_server.services.reassign_quarantine import reassign_quarantine
from billing_server.services.redrive_quarantine import redrive_quarantine
from billing_server.services.waiting_events import WaitingSelection

router = APIRouter(route_class=ApiRoute)


@router.get("/quarantine", response_model=ListAnswer[QuarantinedEventAnswer], tags=["usage"])
def get_quarantine(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only that of one customer.")] = None,
    waiting_reason: Annotated[
        str | None, Query(description="Only those that wait for this reason.")
    ] = None,
) -> Any:
    """List events that were received and are not counted, with the reason."""
    found = list_quarantine(context, page=page, customer_id=customer, waiting_reason=waiting_reason)
    return page_to_json(found, show=waiting_to_json)


@router.post("/quarantine/redrive", response_model=RedriveAnswer, tags=["usage"])
def post_redrive(request: RedriveRequest, context: Context) -> Any:
    """Count the waiting events whose reason has gone, each exactly once.

    The server does so by itself when a customer or meter comes.
    """
    redriven = redrive_quarantine(context.store, customer_id=request.customer)
    return {"counted": redriven.counted, "waiting": redriven.waiting}


@router.post("/quarantine/reassign", response_model=RedriveAnswer, tags=["usage"])
def post_reassign(request: ReassignRequest, context: Context, caller: Caller) -> Any:
    """Count waiting events for another customer, each exactly once.

    What they came as stays stored and is never counted, so a resend of it stays a duplicate. What
    cannot be counted there either waits under that customer. It stands in the audit.
    """
    redriven = reassign_quarantine(
        context,
        selection=_selection_of(request),
        to_customer_id=request.to_customer,
        reason=request.reason,
        actor=caller,
    )
    return {"counted": redriven.counted, "waiting": redriven.waiting}


@router.post("/quarantine/discard", response_model=DiscardAnswer, tags=["usage"])
def post_discard(request: DiscardRequest, context: Context, caller: Caller) -> Any:
    """Discard waiting events: they are never counted, and a resend stays a duplicate.

    To discard them again changes nothing. It stands in the audit.
    """
    discarded = discard_quarantine(
        context, selection=_selection_of(request), reason=request.reason, actor=caller
    )
    return {"discarded": discarded}


@router.get("/conflicts", response_model=ListAnswer[ConflictAnswer], tags=["usage"])
def get_conflicts(
    context: Context,
    limit: Annotated[
        int, Query(ge=1, le=PAGE_LIMIT_MAX, description="The newest so many.")
    ] = PAGE_LIMIT_DEFAULT,
) -> Any:
    """List the newest events that came under a used id with other content, newest first."""
    return all_to_json(list_conflicts(context, limit=limit), show=conflict_to_json)


@router.post("/conflicts/discard", response_model=DiscardAnswer, tags=["usage"])
def post_discard_conflicts(
    request: DiscardConflictsRequest, context: Context, caller: Caller
) -> Any:
    """Mark conflicts as looked at: they are listed no more, and the first events stand.

    It stands in the audit.
    """
    discarded = discard_conflicts(
        context,
        event_ids=request.event_ids,
        customer_id=request.customer,
        reason=request.reason,
        actor=caller,
    )
    return {"discarded": discarded}


def _selection_of(request: DiscardRequest) -> WaitingSelection:
    return WaitingSelection(
        event_ids=tuple(request.event_ids),
        customer_id=request.customer,
        waiting_reason=request.waiting_reason,
    )
