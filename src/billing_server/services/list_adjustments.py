"""Listing what was added to meters by hand."""

from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.usage_facts import Adjustment
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.pages import Page, PageRequest, page_from
from metering.clock import format_instant, parse_instant
from metering.errors import ValidationError


@dataclass(frozen=True, slots=True)
class ShownAdjustment:
    """An adjustment with the meter whose unit it counts in."""

    adjustment: Adjustment
    """What was added."""
    meter: Meter
    """To which meter."""
    is_priced: bool
    """Whether a price charges usage where it counts."""


def list_adjustments(
    context: ServiceContext, *, customer_id: str, start: datetime, end: datetime, page: PageRequest
) -> Page[ShownAdjustment]:
    """List the adjustments of a customer that count in [start, end), by (event time, id).

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
        ValidationError: CURSOR_MALFORMED.
    """
    after_id: str | None = None
    if page.after is not None:
        start, after_id = _position(page.after)
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=customer_id)
        found = unit.usage_facts.adjustments(
            customer_id, start=start, end=end, after=after_id, limit=page.limit + 1
        )
    assigner = terms.assigner
    shown = [
        ShownAdjustment(
            each,
            terms.meters[each.meter_key],
            assigner.assign(
                each.meter_key, dimensions=each.dimensions, at=each.event_time
            ).is_priced,
        )
        for each in found
    ]
    return page_from(
        shown,
        request=page,
        key=lambda each: f"{format_instant(each.adjustment.event_time)} {each.adjustment.id}",
    )


def _position(after: str) -> tuple[datetime, str]:
    instant, _, adjustment_id = after.partition(" ")
    try:
        return parse_instant(instant), adjustment_id
    except ValidationError as error:
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that a list has given; start again without it",
        ) from error
