"""The usage of one billing period, folded from minute buckets and assigned to prices."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.invoice.model import UnpricedUsage
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, ChargeRow, SeriesUsage
from billing_server.domain.rating.assignment import Assignment, UsageKey
from billing_server.domain.rating.event_rating import EventRating
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.segment_usage import GroupUsage, SegmentUsage, Used
from billing_server.domain.usage.aggregate import AggregateState, quantity_of, state_of
from billing_server.services.charge_slot import (
    WHOLE_PRICE,
    ChargeSlot,
    charge_keys,
    charge_row,
    charge_slot,
)
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.level_folds import fold_levels, fold_meter
from billing_server.services.meter_uses import load_meter_uses
from billing_server.services.slot_events import Events, events_of_charges
from metering.money import Exact
from metering.period import Period

FoldSpan = Callable[[Period], Iterable[SeriesUsage]]
"""Folds the buckets of a customer over a span of whole minutes, by series."""
SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
"""Meter key and sorted dimensions."""


@dataclass(slots=True)
class ChargeFold:
    """What one charge comes to be rated by."""

    slot: ChargeSlot
    """The charge."""
    members: list[SeriesUsage] = field(default_factory=list)
    """The usage that feeds it."""
    whole_us: int = 0
    """Microseconds of the whole period, which divide levels."""

    @property
    def state(self) -> AggregateState:
        """Return the aggregate of the members."""
        return state_of(self.slot.meter, self.members, whole_us=self.whole_us)

    @property
    def quantity(self) -> Exact:
        """Return what the aggregate means, in the meter's unit."""
        return quantity_of(self.slot.meter, self.state)


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """What one subscription charges of a customer's usage in a period."""

    folds: dict[ChargeKey, ChargeFold]
    """By charge, in the order of the keys."""
    events: Events
    """The events of those charges that are rated by event."""

    @property
    def quantities(self) -> dict[UsageKey, Used]:
        """Return what was used of each usage price and segment, as far as the price asks."""
        by_segment: dict[UsageKey, dict[str, ChargeFold]] = defaultdict(dict)
        for key, fold in self.folds.items():
            by_segment[UsageKey(key.price_key, key.segment)][key.group_key] = fold
        return {key: self._used(found) for key, found in by_segment.items()}

    def _used(self, found: dict[str, ChargeFold]) -> Used:
        whole = found.get(WHOLE_PRICE)
        groups = tuple(
            GroupUsage(json.loads(group_key), fold.quantity, self._events_of(fold))
            for group_key, fold in sorted(found.items())
            if group_key != WHOLE_PRICE
        )
        quantity = _together(found.values()) if whole is None else whole.quantity
        events = () if whole is None else self._events_of(whole)
        return SegmentUsage(quantity, events, groups) if groups or events else quantity

    def _events_of(self, fold: ChargeFold) -> tuple[EventUsage, ...]:
        return tuple(self.events.get(fold.slot.key, ()))

    def charge_rows(self) -> list[ChargeRow]:
        """Return the running charges that this usage makes.

        A level has none: its charge grows by itself, and is folded when it is looked at.
        """
        return [
            charge_row(fold.slot, fold.state, events=self.events.get(key, ()))
            for key, fold in self.folds.items()
            if fold.slot.meter.aggregation is not Aggregation.TIME_WEIGHTED
        ]

    def event_ratings(self) -> Iterator[tuple[ChargeKey, EventRating]]:
        """Walk the charges that are rated by event, each with the rating of all its events."""
        for key, fold in self.folds.items():
            if fold.slot.is_rated_by_event:
                rating = EventRating(fold.slot.terms)
                for event in self.events.get(key, ()):
                    rating.take(event)
                yield key, rating

    def charge_values(self) -> list[tuple[ChargeKey, str]]:
        """Return the values that the charges on unique counts have seen."""
        return [
            (key, value)
            for key, fold in self.folds.items()
            if fold.slot.meter.aggregation is Aggregation.UNIQUE_COUNT
            for value in sorted({each.dimensions[fold.slot.meter.of] for each in fold.members})
        ]


def _together(folds: Iterable[ChargeFold]) -> Exact:
    """Return the quantity of some groups of one price together."""
    found = list(folds)
    members = [member for fold in found for member in fold.members]
    meter = found[0].slot.meter
    return quantity_of(meter, state_of(meter, members, whole_us=found[0].whole_us))


def fold_period(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    subscription_id: str,
    period: Period,
    at: datetime | None = None,
    meter_keys: frozenset[str] | None = None,
    fold: FoldSpan | None = None,
) -> PeriodUsage:
    """Fold what one subscription charges of a period, from the buckets and not from the cache.

    Args:
        unit: its reads see one state.
        terms: whose usage.
        subscription_id: whose charges.
        period: on whole minutes.
        at: the instant of looking, up to which levels count; None: to the period's end.
        meter_keys: only what these meters count; None: all.
        fold: folds the buckets where all meters are asked for; None: the database does.
    """
    folds: dict[ChargeKey, ChargeFold] = {}
    by_event: dict[str, Meter] = {}
    for series, meter, found in _assigned(
        unit, terms=terms, period=period, at=at, meter_keys=meter_keys, fold=fold
    ):
        if found.timeline is None or found.timeline.subscription.id != subscription_id:
            continue
        for key in charge_keys(found, customer_id=terms.customer.id, dimensions=series.dimensions):
            charge = folds.get(key)
            if charge is None:
                charge = folds[key] = _new_fold(key, found=found, meter=meter, terms=terms)
            charge.members.append(series)
            if charge.slot.is_rated_by_event:
                by_event[meter.key] = meter
    events: Events = {}
    for meter in by_event.values():
        events |= events_of_charges(
            unit, terms.customer.id, assigner=terms.assigner, meter=meter, span=period
        )
    return PeriodUsage(folds=dict(sorted(folds.items())), events=events)


def _new_fold(
    key: ChargeKey, *, found: Assignment, meter: Meter, terms: CustomerTerms
) -> ChargeFold:
    slot = charge_slot(key, assignment=found, meter=meter, assigner=terms.assigner)
    fold = ChargeFold(slot)
    if meter.aggregation is Aggregation.TIME_WEIGHTED and found.timeline is not None:
        whole = found.timeline.cycle.whole_period_at(slot.span.start)
        fold.whole_us = microseconds_in(whole)
    return fold


def microseconds_in(period: Period) -> int:
    """Return the length of a period in microseconds."""
    return int((period.end - period.start).total_seconds()) * 1_000_000


def fold_unpriced(
    unit: UnitOfWork, *, terms: CustomerTerms, period: Period, at: datetime | None = None
) -> tuple[UnpricedUsage, ...]:
    """Fold the usage of a span that no subscription of the customer charges (R32).

    What is counted for a limit alone is not told: there is nothing to charge.
    """
    members: dict[SeriesKey, list[SeriesUsage]] = defaultdict(list)
    for series, meter, found in _assigned(unit, terms=terms, period=period, at=at):
        if found.price is None:
            members[meter.key, tuple(sorted(series.dimensions.items()))].append(series)
    if not members:
        return ()
    uses = load_meter_uses(unit)
    return tuple(
        UnpricedUsage(
            meter=meter_key,
            dimensions=dict(dimensions),
            quantity=folded(series, meter=terms.meters[meter_key], span=period),
            unit=terms.meters[meter_key].unit,
        )
        for (meter_key, dimensions), series in sorted(members.items())
        if not uses.is_for_limits_alone(meter_key, customer=terms.customer)
    )


def _assigned(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    period: Period,
    at: datetime | None,
    meter_keys: frozenset[str] | None = None,
    fold: FoldSpan | None = None,
) -> Iterator[tuple[SeriesUsage, Meter, Assignment]]:
    """Walk the usage of a span, each part with what charges it."""
    assigner = terms.assigner
    for span in assigner.constant_spans(period):
        for series in _series_usage(
            unit, terms=terms, span=span, at=at, meter_keys=meter_keys, fold=fold
        ):
            meter = terms.meters[series.meter_key]
            found = assigner.assign(meter.key, dimensions=series.dimensions, at=span.start)
            yield series, meter, found


def _series_usage(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    span: Period,
    at: datetime | None,
    meter_keys: frozenset[str] | None,
    fold: FoldSpan | None,
) -> Iterator[SeriesUsage]:
    """Walk the usage of a span by series. A level is there without an event in the span, too."""
    customer_id = terms.customer.id
    if meter_keys is not None:
        for key in sorted(meter_keys):
            yield from fold_meter(unit, customer_id, meter=terms.meters[key], span=span, at=at)
        return
    folded = (
        unit.usage.fold_usage(customer_id, start=span.start, end=span.end)
        if fold is None
        else fold(span)
    )
    for series in folded:
        if terms.meters[series.meter_key].aggregation is not Aggregation.TIME_WEIGHTED:
            yield series
    for meter in terms.meters.values():
        if meter.aggregation is Aggregation.TIME_WEIGHTED:
            yield from fold_levels(unit, customer_id, meter=meter, span=span, at=at)


def folded(series: list[SeriesUsage], *, meter: Meter, span: Period) -> Exact:
    """Return the quantity of some series together over a span, in the meter's unit."""
    return quantity_of(meter, state_of(meter, series, whole_us=microseconds_in(span)))
