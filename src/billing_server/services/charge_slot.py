"""One running charge: where it is kept, how it is rated, and the row that it becomes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.model import Meter, TierScope, UsagePrice
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner
from billing_server.domain.rating.event_rating import EventRating
from billing_server.domain.rating.price_model import ZERO, EventUsage
from billing_server.domain.rating.usage import UsageTerms, usage_terms
from billing_server.domain.usage.aggregate import AggregateState, quantity_of
from billing_server.domain.usage.instants import microseconds_from_instant
from metering.errors import InvariantError
from metering.money import Exact, minor_unit_digits, round_to_minor
from metering.period import Period
from metering.quantity import plain_decimal

AMOUNT_MINOR_MAX: Final = 10**15
"""Largest amount of one price in one period, in minor units: thousands of such lines still add up
to an invoice of 64 bits."""

WHOLE_PRICE: Final = ""
"""The group key of a charge of the whole price."""


class AmountTooLargeError(InvariantError):
    """A charge would come to more than an invoice can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class ChargeSlot:
    """One running charge: where it is kept and how it is rated. Compared by identity."""

    key: ChargeKey
    """The row."""
    terms: UsageTerms
    """The compiled price."""
    meter: Meter
    """What is priced."""
    currency_digits: int
    """Of the plan's currency."""
    span: Period
    """The segment: events with a time in it may feed the charge."""
    assigner: CustomerAssigner
    """Tells which events do."""
    is_part: bool = False
    """Whether it only keeps the quantity of a group, whose share of the amount is told when it is
    shown: under shared tiers a group has no amount of its own."""

    @property
    def is_rated_by_event(self) -> bool:
        """Whether its amount depends on each event and not on their aggregate."""
        return not self.is_part and self.terms.is_rated_by_event


@dataclass(frozen=True, slots=True)
class ChargeChange:
    """What a batch of events did to a running charge."""

    slot: ChargeSlot
    """Which charge."""
    before: ChargeRow | None
    """As it was; None: there was none."""
    after: ChargeRow
    """As it is."""


def group_keys(price: UsagePrice, *, dimensions: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the keys of the charges that usage with these dimensions feeds.

    One for all without groups; the group's own with tiers per group; both with shared tiers.
    """
    if not price.group_by:
        return (WHOLE_PRICE,)
    group = canonical_json({name: dimensions.get(name, "") for name in price.group_by})
    return (group,) if price.group_tiers is TierScope.PER_GROUP else (WHOLE_PRICE, group)


def charge_keys(
    assignment: Assignment, *, customer_id: str, dimensions: Mapping[str, str]
) -> tuple[ChargeKey, ...]:
    """Returns the running charges that usage with this assignment feeds; none where unpriced."""
    timeline, price, period = assignment.timeline, assignment.price, assignment.period
    segment = assignment.segment
    if timeline is None or price is None or period is None or segment is None:
        return ()
    return tuple(
        ChargeKey(
            customer_id,
            timeline.subscription.id,
            microseconds_from_instant(period.start),
            price.key,
            segment.index,
            group_key,
        )
        for group_key in group_keys(price, dimensions=dimensions)
    )


def charge_slot(
    key: ChargeKey, *, assignment: Assignment, meter: Meter, assigner: CustomerAssigner
) -> ChargeSlot:
    """Returns a running charge with its compiled price.

    Args:
        key: one of the assignment's `charge_keys`.
        assignment: of usage to a price.
        meter: that the price is on.
        assigner: of the customer.
    """
    timeline, price, segment = assignment.timeline, assignment.price, assignment.segment
    if timeline is None or price is None or segment is None:
        raise InvariantError(reason="USAGE_UNPRICED", message=f"no price charges {key}")
    is_part = key.group_key != WHOLE_PRICE and price.group_tiers is TierScope.SHARED
    return ChargeSlot(
        key=key,
        terms=usage_terms(
            price, meter=meter, share=segment.share, maximum_share=segment.maximum_share
        ),
        meter=meter,
        currency_digits=minor_unit_digits(timeline.plan.currency),
        span=segment.span,
        assigner=assigner,
        is_part=is_part,
    )


def charge_row(
    slot: ChargeSlot,
    state: AggregateState,
    *,
    events: Iterable[EventUsage] = (),
    rating: EventRating | None = None,
) -> ChargeRow:
    """Returns a running charge, rated and rounded.

    Args:
        slot: which charge.
        state: of all its usage.
        events: all of them in the order (event_time, event_id), where it is rated by event.
        rating: of all of them, in their place.

    Raises:
        AmountTooLargeError: AMOUNT_TOO_LARGE.
    """
    amount = _amount(slot, state, events) if rating is None else rating.amount()
    amount_minor = round_to_minor(amount, digits=slot.currency_digits)
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise AmountTooLargeError(
            reason="AMOUNT_TOO_LARGE",
            message=f"price {slot.key.price_key!r} comes to {amount}, which no invoice can hold",
        )
    return ChargeRow(slot.key, state.value, _stored_amount(amount), amount_minor, *state[1:])


def _amount(slot: ChargeSlot, state: AggregateState, events: Iterable[EventUsage]) -> Exact:
    if slot.is_part:
        return ZERO
    if slot.is_rated_by_event:
        return slot.terms.rate_events(events)
    return slot.terms.rate(quantity_of(slot.meter, state))


def state_of_row(row: ChargeRow | None) -> AggregateState | None:
    """Returns the state that a running charge keeps; None where there is none."""
    if row is None:
        return None
    return AggregateState(row.quantity, row.value_count, row.last_time_us, row.last_event_id)


def _stored_amount(amount: Exact) -> Decimal:
    """Returns the amount as it is shown; the rounded one is made from the exact value."""
    return amount if isinstance(amount, Decimal) else Decimal(plain_decimal(amount))
