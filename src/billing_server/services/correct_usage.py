"""Voiding, amending and adjusting usage: new facts, while what came is kept as it was (R16)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.late_facts import LateFactKind
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import DISCARDED, EventRow
from billing_server.domain.ports.usage_facts import Adjustment, Correction, CorrectionKind
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    microseconds_from_instant,
)
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.follow_limits import limits_following
from billing_server.services.late_facts import late_corrections
from billing_server.services.not_found import customer_not_found, event_not_found, meter_not_found
from billing_server.services.rating_terms import load_catalog_terms
from billing_server.services.recount_usage import recount_corrected, recount_minutes
from billing_server.services.stated_reason import check_reason, check_stated_reason
from billing_server.services.usage_payload import decode_row
from billing_server.services.waiting_events import events_named
from metering.clock import format_instant
from metering.errors import InvalidStateError, ValidationError
from metering.quantity import canonical_quantity, scale_quantity

ADJUSTABLE: Final = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.TIME_WEIGHTED})
"""Meters to which a signed quantity can be added: the others keep one value, or a set of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentRequest:
    """A signed quantity that is to be added to a meter."""

    customer_id: str
    """Whose usage."""
    meter_key: str
    """To which meter."""
    quantity: str
    """Signed plain decimal, e.g. "-12.5", in the meter's unit."""
    reason: str
    """Why, for people; 1..256 bytes."""
    event_time: datetime | None = None
    """When it counts; None: now."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """With which dimensions; they choose the price."""
    id: str | None = None
    """Of the adjustment, where a repeat of the request must not add it again; None: a new one."""


def void_usage(
    context: ServiceContext, *, event_id: str, customer_id: str | None = None, reason: str = ""
) -> Correction:
    """Let an event count nothing from now on. To void it twice changes nothing.

    Args:
        context: the world.
        event_id: of an event that was counted.
        customer_id: whose; needed only where several customers have an event of this id.
        reason: for people.

    Raises:
        NotFoundError: EVENT_NOT_FOUND.
        ValidationError: EVENT_ID_AMBIGUOUS, REASON_TOO_LONG.
        InvalidStateError: EVENT_NOT_COUNTED.
    """
    return _correct(
        context,
        event_id=event_id,
        customer_id=customer_id,
        kind=CorrectionKind.VOID,
        quantities=None,
        reason=reason,
    )


def amend_usage(
    context: ServiceContext,
    *,
    event_id: str,
    quantities: Mapping[str, str],
    customer_id: str | None = None,
    reason: str = "",
) -> Correction:
    """Let an event count other quantities from now on; the newest amendment counts.

    Raises:
        NotFoundError: EVENT_NOT_FOUND.
        ValidationError: EVENT_ID_AMBIGUOUS, REASON_TOO_LONG; or why the quantities cannot be
            counted: METER_UNKNOWN, QUANTITY_MALFORMED, QUANTITY_TOO_PRECISE, ….
        InvalidStateError: EVENT_NOT_COUNTED.
    """
    if not quantities:
        raise ValidationError(
            reason="QUANTITIES_EMPTY", message="quantities: name at least one, or void the event"
        )
    return _correct(
        context,
        event_id=event_id,
        customer_id=customer_id,
        kind=CorrectionKind.AMEND,
        quantities={name: _canonical(name, text) for name, text in sorted(quantities.items())},
        reason=reason,
    )


def adjust_usage(context: ServiceContext, *, request: AdjustmentRequest) -> Adjustment:
    """Add a signed quantity to a meter.

    A sum may go below zero: it is then charged nothing, and what is added later makes up for it
    first (R18). To a level it is a change that holds until the next event sets a level. What has an
    id is added once.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND, METER_NOT_FOUND.
        ValidationError: METER_NOT_ADJUSTABLE, REASON_MISSING, REASON_TOO_LONG, QUANTITY_ZERO,
            EVENT_TIME_IN_FUTURE, or what else is wrong with the quantity.
    """
    check_stated_reason(request.reason)
    now = context.clock.now()
    if request.event_time is not None and request.event_time > now:
        raise ValidationError(
            reason="EVENT_TIME_IN_FUTURE",
            message=f"event_time: {format_instant(request.event_time)} is in the future; usage is "
            "adjusted when it has happened",
        )
    with context.store.write() as unit:
        meter = unit.catalog.meter(request.meter_key)
        if meter is None:
            raise meter_not_found(request.meter_key)
        value = _signed(request.quantity, meter=meter)
        unit.usage.share_catalog()
        if not unit.usage.lock_customers([request.customer_id]):
            raise customer_not_found(request.customer_id)
        known = None if request.id is None else unit.usage_facts.adjustment(request.id)
        if known is not None:
            return known
        adjustment = Adjustment(
            id=request.id or context.new_id("adj"),
            customer_id=request.customer_id,
            meter_key=meter.key,
            dimensions=dict(request.dimensions),
            event_time=request.event_time or now,
            value=value,
            reason=request.reason,
            create_time=now,
        )
        unit.usage_facts.add_adjustment(adjustment)
        minute = microseconds_from_instant(adjustment.event_time) // MICROSECONDS_PER_MINUTE
        with limits_following(
            unit, customer_id=request.customer_id, now=now, used_at=[adjustment.event_time]
        ):
            late = recount_minutes(unit, customer_id=request.customer_id, minutes=[minute])
        unit.late_facts.add(
            late_corrections(
                late,
                event_time_us=microseconds_from_instant(adjustment.event_time),
                fact_id=adjustment.id,
                kind=LateFactKind.ADJUSTMENT,
            )
        )
    return adjustment


def is_priced(context: ServiceContext, *, adjustment: Adjustment) -> bool:
    """Tell whether a price charges usage where an adjustment counts."""
    with context.store.read() as unit:
        assigner = load_customer_terms(unit, customer_id=adjustment.customer_id).assigner
    return assigner.assign(
        adjustment.meter_key, dimensions=adjustment.dimensions, at=adjustment.event_time
    ).is_priced


def _correct(
    context: ServiceContext,
    *,
    event_id: str,
    customer_id: str | None,
    kind: CorrectionKind,
    quantities: Mapping[str, str] | None,
    reason: str,
) -> Correction:
    check_reason(reason)
    with context.store.write() as unit:
        catalog = load_catalog_terms(unit, revision=unit.usage.share_catalog())
        row = _find_event(unit, event_id=event_id, customer_id=customer_id)
        unit.usage.lock_customers([row.customer_id])
        if quantities is not None:
            event = decode_row(row)
            effects = catalog.index.effects(quantities, dimensions=event.dimensions)
            if isinstance(effects, Quarantine):
                raise ValidationError(reason=effects.reason, message=effects.message)
        key = (row.event_id, row.customer_id)
        known = unit.usage_facts.corrections([key]).get(key)
        if known is not None and (known.kind, known.quantities) == (kind, quantities):
            return known
        correction = Correction(
            event_id=row.event_id,
            customer_id=row.customer_id,
            version=1 if known is None else known.version + 1,
            kind=kind,
            quantities=quantities,
            reason=reason,
            create_time=context.clock.now(),
        )
        unit.usage_facts.add_correction(correction)
        recount_corrected(unit, row=row, now=correction.create_time)
    return correction


def _find_event(unit: UnitOfWork, *, event_id: str, customer_id: str | None) -> EventRow:
    found = events_named(unit, event_id=event_id, customer_id=customer_id)
    if not found:
        raise event_not_found(event_id, customer_id=customer_id)
    if len(found) > 1:
        raise ValidationError(
            reason="EVENT_ID_AMBIGUOUS",
            message=f"{len(found)} customers have an event {event_id!r}; name the customer",
        )
    (row,) = found
    if row.quarantine_reason == DISCARDED:
        raise InvalidStateError(
            reason="EVENT_NOT_COUNTED",
            message=f"event {event_id!r} counts nothing for good ({row.quarantine_detail}); adjust "
            "the meter instead",
        )
    if row.quarantine_reason is not None:
        raise InvalidStateError(
            reason="EVENT_NOT_COUNTED",
            message=f"event {event_id!r} waits ({row.quarantine_reason}) and counts nothing yet; "
            "correct it when it is counted",
        )
    return row


def _canonical(name: str, text: str) -> str:
    try:
        return canonical_quantity(text)
    except ValidationError as error:
        raise ValidationError(
            reason=error.reason, message=f"quantities.{name}: {error.message}"
        ) from error


def _signed(text: str, *, meter: Meter) -> int:
    if meter.aggregation not in ADJUSTABLE:
        raise ValidationError(
            reason="METER_NOT_ADJUSTABLE",
            message=f"meter {meter.key!r} is a {meter.aggregation}: nothing can be added to it; "
            "void or amend the event that is wrong",
        )
    is_negative = text.startswith("-")
    value = scale_quantity(text.removeprefix("-"), decimals=meter.decimals)
    if not value:
        raise ValidationError(
            reason="QUANTITY_ZERO", message="quantity: 0 changes nothing; name what to add"
        )
    return -value if is_negative else value
