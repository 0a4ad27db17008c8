"""`/v1/usage/…`: single events, their corrections, adjustments and backfill."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.usage_facts import Adjustment, Correction
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.edge.http.convert import page_to_json
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_usage import (
    AdjustmentAnswer,
    AdjustUsageRequest,
    AmendUsageRequest,
    CorrectionAnswer,
    ImportAnswer,
    ImportUsageRequest,
    UsageEventAnswer,
    VoidUsageRequest,
)
from billing_server.edge.http.parameters import WantedPage, dimension_filter, instant_of
from billing_server.edge.http.route import ApiRoute, Context, RepeatId
from billing_server.services.correct_usage import (
    AdjustmentRequest,
    adjust_usage,
    amend_usage,
    is_priced,
    void_usage,
)
from billing_server.services.import_usage import ImportedEvent, import_usage
from billing_server.services.list_adjustments import ShownAdjustment, list_adjustments
from billing_server.services.list_usage_events import CountedEvent, list_usage_events
from billing_server.services.query_usage import UsageQuery
from metering.clock import format_instant
from metering.quantity import plain_decimal, unscale_quantity

router = APIRouter(route_class=ApiRoute, tags=["usage"])
CREATED = 201


@router.get("/usage/events", response_model=ListAnswer[UsageEventAnswer])
def get_usage_events(
    context: Context,
    page: WantedPage,
    customer: Annotated[str, Query(description="Whose usage.")],
    meter: Annotated[str, Query(description="Of which meter.")],
    start: Annotated[str, Query(description="RFC 3339 instant on a whole minute.")],
    end: Annotated[str, Query(description="RFC 3339 instant on a whole minute, exclusive.")],
    where: Annotated[
        list[str] | None, Query(description="`dimension=value` that an event must carry.")
    ] = None,
) -> Any:
    """List the events that a meter counts in a window, in order of their time.

    A page may be shorter than asked for and still have a `next_cursor`.
    """
    query = UsageQuery(
        customer_id=customer,
        meter_key=meter,
        start=instant_of(start, field="start"),
        end=instant_of(end, field="end"),
        where=dict(dimension_filter(each) for each in where or ()),
    )
    counted, found = list_usage_events(context, query=query, page=page)
    return page_to_json(found, show=lambda each: _event_to_json(each, meter=counted))


@router.post("/usage/void", status_code=CREATED, response_model=CorrectionAnswer)
def post_void(request: VoidUsageRequest, context: Context) -> Any:
    """Let an event count nothing from now on; it is kept as it came."""
    correction = void_usage(
        context, event_id=request.event_id, customer_id=request.customer, reason=request.reason
    )
    return _correction_to_json(correction)


@router.post("/usage/amend", status_code=CREATED, response_model=CorrectionAnswer)
def post_amend(request: AmendUsageRequest, context: Context) -> Any:
    """Let an event count other quantities from now on; it is kept as it came."""
    correction = amend_usage(
        context,
        event_id=request.event_id,
        customer_id=request.customer,
        quantities=request.quantities,
        reason=request.reason,
    )
    return _correction_to_json(correction)


@router.post("/usage/adjust", status_code=CREATED, response_model=AdjustmentAnswer)
def post_adjust(request: AdjustUsageRequest, context: Context, repeat: RepeatId) -> Any:
    """Add a signed quantity to a meter of a customer, with the reason."""
    time = request.event_time
    made = adjust_usage(
        context,
        request=AdjustmentRequest(
            customer_id=request.customer,
            meter_key=request.meter,
            quantity=request.quantity,
            reason=request.reason,
            event_time=None if time is None else instant_of(time, field="event_time"),
            dimensions=request.dimensions,
            id=None if repeat is None else f"adj_{repeat}",
        ),
    )
    return _adjustment_to_json(
        made, quantity=request.quantity, is_priced=is_priced(context, adjustment=made)
    )


@router.get("/usage/adjustments", response_model=ListAnswer[AdjustmentAnswer])
def get_adjustments(
    context: Context,
    page: WantedPage,
    customer: Annotated[str, Query(description="Whose usage.")],
    start: Annotated[str, Query(description="RFC 3339 instant.")],
    end: Annotated[str, Query(description="RFC 3339 instant, exclusive.")],
) -> Any:
    """List what was added to meters by hand, in order of the time when it counts."""
    found = list_adjustments(
        context,
        customer_id=customer,
        start=instant_of(start, field="start"),
        end=instant_of(end, field="end"),
        page=page,
    )
    return page_to_json(found, show=_shown_adjustment)


@router.post("/usage/import", response_model=ImportAnswer)
def post_import(request: ImportUsageRequest, context: Context) -> Any:
    """Count events past the window in which agents accept them, each exactly once."""
    tally = import_usage(
        context,
        events=[
            ImportedEvent(
                event_id=each.event_id,
                customer_id=each.customer,
                event_time=instant_of(each.event_time, field=f"events[{place}].event_time"),
                quantities=each.quantities,
                dimensions=each.dimensions,
            )
            for place, each in enumerate(request.events)
        ],
    )
    return {
        "counted": tally.counted,
        "duplicates": tally.duplicates,
        "conflicts": tally.conflicts,
        "quarantined": tally.quarantined,
    }


def _shown_adjustment(shown: ShownAdjustment) -> dict[str, Any]:
    quantity = unscale_quantity(shown.adjustment.value, decimals=shown.meter.decimals)
    return _adjustment_to_json(
        shown.adjustment, quantity=plain_decimal(quantity), is_priced=shown.is_priced
    )


def _adjustment_to_json(
    adjustment: Adjustment, *, quantity: str, is_priced: bool
) -> dict[str, Any]:
    return {
        "id": adjustment.id,
        "customer": adjustment.customer_id,
        "meter": adjustment.meter_key,
        "quantity": quantity,
        "dimensions": dict(adjustment.dimensions),
        "event_time": format_instant(adjustment.event_time),
        "reason": adjustment.reason,
        "is_priced": is_priced,
    }


def _correction_to_json(correction: Correction) -> dict[str, Any]:
    return {
        "event_id": correction.event_id,
        "customer": correction.customer_id,
        "version": correction.version,
        "kind": str(correction.kind),
        "quantities": correction.quantities,
        "reason": correction.reason,
        "create_time": format_instant(correction.create_time),
    }


def _event_to_json(counted: CountedEvent, *, meter: Meter) -> dict[str, Any]:
    event = counted.event
    quantity = unscale_quantity(counted.value, decimals=meter.decimals)
    correction = counted.correction
    return {
        "event_id": event.row.event_id,
        "event_time": format_instant(instant_from_microseconds(event.row.event_time_us)),
        "receive_time": format_instant(instant_from_microseconds(event.row.receive_time_us)),
        "quantity": plain_decimal(quantity),
        "quantities": dict(sorted(event.quantities.items())),
        "dimensions": dict(sorted(event.dimensions.items())),
        "correction": None if correction is None else _correction_to_json(correction),
    }
