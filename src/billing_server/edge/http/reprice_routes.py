"""`/v1/plans/{key}/reprice`: what corrected prices make of a plan's subscriptions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.domain.invoice.correction import Correction
from billing_server.edge.http.convert import instant_to_json, period_to_json
from billing_server.edge.http.models_reprice import RepriceAnswer, RepriceRequest
from billing_server.edge.http.parameters import instant_of
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.pages import PageRequest, cursor_from_key
from billing_server.services.reprice_plan import (
    RepricedSubscription,
    RepriceMode,
    RepriceWish,
    reprice_plan,
)

router = APIRouter(route_class=ApiRoute, tags=["catalog"])


@router.post("/plans/{key}/reprice", response_model=RepriceAnswer)
def post_reprice(
    key: str,
    request: RepriceRequest,
    context: Context,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before; unset: the first page.")
    ] = None,
) -> Any:
    """Tell what the corrected version of a plan makes of its subscriptions since an instant.

    Open periods are priced anew unless it is a dry run. For invoiced periods, which never change,
    credit notes and charges are proposed; nothing of them is issued.
    """
    wish = RepriceWish(
        plan_key=key,
        start=instant_of(request.start, field="from"),
        version=request.version,
        of_version=request.of_version,
    )
    repriced = reprice_plan(
        context,
        wish=wish,
        mode=RepriceMode.DRY_RUN if request.dry_run else RepriceMode.APPLY,
        after=PageRequest(cursor=cursor).after,
    )
    following = repriced.next_after
    return {
        "dry_run": request.dry_run,
        "data": [repriced_to_json(each) for each in repriced.results],
        "next_cursor": None if following is None else cursor_from_key(following),
    }


def repriced_to_json(repriced: RepricedSubscription) -> dict[str, Any]:
    """Return what the corrected prices make of one subscription."""
    return {
        "subscription": repriced.subscription_id,
        "customer": repriced.customer_id,
        "currency": repriced.currency,
        "to_version": repriced.to_version,
        "refusal": repriced.refusal,
        "applied_from": instant_to_json(repriced.applied_from),
        "open": [
            {
                "period": period_to_json(each.period),
                "before": each.before.decimal_string(),
                "after": each.after.decimal_string(),
                "difference": (each.after - each.before).decimal_string(),
            }
            for each in repriced.open_periods
        ],
        "invoiced": [_correction_to_json(each) for each in repriced.corrections],
    }


def _correction_to_json(correction: Correction) -> dict[str, Any]:
    return {
        "price": correction.price,
        "period": period_to_json(correction.period),
        "invoices": list(correction.numbers),
        "invoiced": correction.invoiced.decimal_string(),
        "late": correction.late.decimal_string(),
        "corrected": correction.corrected.decimal_string(),
        "difference": correction.difference.decimal_string(),
        "tax": None if correction.tax is None else correction.tax.decimal_string(),
        "proposal": str(correction.proposal),
    }
