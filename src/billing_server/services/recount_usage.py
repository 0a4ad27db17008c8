"""Counting minutes of a customer anew: after a correction, or where a check found a difference.

What a minute holds is a function of its events as they came, their corrections, the adjustments and
the meters. So it is thrown away and made again, and of the charges only those that it feeds.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from billing_server.domain.catalog.model import Meter
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.late_facts import LateFactKind
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, EventRow
from billing_server.domain.ports.usage_facts import Correction, CorrectionKind
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    instant_from_microseconds,
    instant_from_minute,
)
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.batch_buckets import BatchBuckets, Group
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.follow_limits import limits_following
from billing_server.services.late_facts import PeriodKey, late_corrections
from billing_server.services.period_usage import fold_period
from billing_server.services.rating_terms import CompiledCustomer, TermsCache
from billing_server.services.series_route import SeriesRoute
from billing_server.services.usage_payload import DecodedEvent, decode_row
from metering.errors import InvariantError


def recount_minutes(
    unit: UnitOfWork, *, customer_id: str, minutes: Collection[int]
) -> frozenset[PeriodKey]:
    """Counts the events of some minutes anew and brings the charges that they feed up to date.

    Args:
        unit: a write transaction that holds the customer.
        customer_id: whose usage.
        minutes: since 1970 UTC.

    Returns:
        The invoiced periods that the minutes feed.
    """
    fed, invoiced = recount_buckets(unit, customer_id=customer_id, minutes=minutes)
    refold_charges(unit, customer_id=customer_id, fed=fed)
    return invoiced


def recount_corrected(unit: UnitOfWork, *, row: EventRow, now: datetime) -> None:
    """Counts anew the minute of an event that was corrected; limits and late usage follow.

    Args:
        unit: a write transaction that holds the customer; the correction is noted in it.
        row: the event as it stands.
        now: the time.
    """
    minute = row.event_time_us // MICROSECONDS_PER_MINUTE
    with limits_following(
        unit,
        customer_id=row.customer_id,
        now=now,
        used_at=[instant_from_microseconds(row.event_time_us)],
        corrected=row,
    ):
        late = recount_minutes(unit, customer_id=row.customer_id, minutes=[minute])
    unit.late_facts.add(
        late_corrections(
            late,
            event_time_us=row.event_time_us,
            fact_id=row.event_id,
            kind=LateFactKind.CORRECTION,
        )
    )


def recount_buckets(
    unit: UnitOfWork, *, customer_id: str, minutes: Collection[int]
) -> tuple[list[Group], frozenset[PeriodKey]]:
    """Counts the events of some minutes anew, and marks invoiced periods that they feed.

    The charges are left as they are: other minutes may be wrong, too.

    Args:
        unit: a write transaction that holds the customer.
        customer_id: whose usage.
        minutes: since 1970 UTC.

    Returns:
        The series and minutes that were fed, and those invoiced periods.
    """
    cache = TermsCache()
    catalog = cache.catalog(unit)
    revisions = unit.usage.lock_customers([customer_id])
    customer = cache.customers(unit, catalog=catalog, revisions=revisions)[customer_id]
    buckets = BatchBuckets()
    before: list[Group] = []
    for minute in sorted(set(minutes)):
        touched = unit.usage_facts.clear_minutes(customer_id, minutes=[minute])
        before += _routes_of(unit, customer=customer, series=touched, minute=minute)
        for event in effective_events(unit, customer_id=customer_id, minute=minute):
            effects = catalog.index.effects(event.quantities, dimensions=event.dimensions)
            if isinstance(effects, Quarantine):
                # It was counted once and cannot be any more: a meter is gone, which never happens.
                raise InvariantError(reason=effects.reason, message=effects.message)
            buckets.add(event, customer=customer, effects=effects)
        _add_adjustments(unit, customer=customer, minute=minute, buckets=buckets)
    numbers = _numbers(unit, routes={route for route, _ in buckets.groups()})
    buckets.write(unit, number_of=numbers.__getitem__)
    fed = [*before, *buckets.groups()]
    return fed, _mark_late(unit, customer_id=customer_id, fed=fed)


def effective_events(unit: UnitOfWork, *, customer_id: str, minute: int) -> Iterator[DecodedEvent]:
    """Walks the events of a minute as they count: amended, and without those that are void."""
    rows = unit.usage_facts.events_between(
        customer_id, start=instant_from_minute(minute), end=instant_from_minute(minute + 1)
    )
    corrections = unit.usage_facts.corrections([(row.event_id, customer_id) for row in rows])
    for row in rows:
        event = corrected(row, corrections.get((row.event_id, customer_id)))
        if event is not None:
            yield event


def corrected(row: EventRow, correction: Correction | None) -> DecodedEvent | None:
    """Returns an event as it counts after its newest correction; None where it is void."""
    event = decode_row(row)
    if correction is None:
        return event
    if correction.kind is CorrectionKind.VOID:
        return None
    return event._replace(quantities=correction.quantities or {})


def refold_charges(unit: UnitOfWork, *, customer_id: str, fed: Iterable[Group]) -> None:
    """Folds those charges anew that some minutes of some series feed."""
    meters: dict[tuple[str, int], dict[str, Meter]] = defaultdict(dict)
    keys: set[ChargeKey] = set()
    for route, minute in fed:
        for slot in route.slots_at(minute):
            keys.add(slot.key)
            place = (slot.key.subscription_id, slot.key.period_start_us)
            meters[place][route.meter.key] = route.meter
    if not keys:
        return
    terms = load_customer_terms(unit, customer_id=customer_id)
    rows, values = [], []
    for (subscription_id, start_us), found in sorted(meters.items()):
        period = terms.timelines[subscription_id].period_at(instant_from_microseconds(start_us))
        if period is None:
            continue
        usage = fold_period(
            unit,
            terms=terms,
            subscription_id=subscription_id,
            period=period,
            meter_keys=frozenset(found),
        )
        rows += [row for row in usage.charge_rows() if row.key in keys]
        values += [value for value in usage.charge_values() if value[0] in keys]
    unit.usage_facts.delete_charge_rows(keys)
    unit.usage.put_charges(rows)
    unit.usage.add_charge_values(values)


def _routes_of(
    unit: UnitOfWork, *, customer: CompiledCustomer, series: Collection[int], minute: int
) -> list[Group]:
    meters = {meter.key: meter for meter in unit.catalog.meters()} if series else {}
    found = unit.usage_facts.series_by_number(series)
    return [
        (customer.route(meters[meter_key], dimensions=dimensions, dimensions_json=text), minute)
        for meter_key, dimensions, text in found
    ]


def _add_adjustments(
    unit: UnitOfWork, *, customer: CompiledCustomer, minute: int, buckets: BatchBuckets
) -> None:
    found = unit.usage_facts.adjustments(
        customer.customer_id,
        start=instant_from_minute(minute),
        end=instant_from_minute(minute + 1),
    )
    for adjustment in found:
        meter = unit.catalog.meter(adjustment.meter_key)
        if meter is not None:
            route = customer.route(
                meter,
                dimensions=adjustment.dimensions,
                dimensions_json=canonical_json(adjustment.dimensions),
            )
            buckets.adjust(adjustment, route=route)


def _numbers(unit: UnitOfWork, *, routes: Collection[SeriesRoute]) -> dict[SeriesRoute, int]:
    keys = {
        (route.customer.customer_id, route.meter.key, route.dimensions_json): route
        for route in routes
    }
    return {keys[key]: number for key, number in unit.usage.series_ids(list(keys)).items()}


def _mark_late(
    unit: UnitOfWork, *, customer_id: str, fed: Collection[Group]
) -> frozenset[PeriodKey]:
    """Marks invoiced periods that a recount may have changed (R76), and returns them."""
    periods = {route.period_at(minute) for route, minute in fed}
    invoiced = unit.usage.mark_late_usage({period for period in periods if period is not None})
    levels = [minute for route, minute in fed if route.is_level]
    if levels:
        since_us = min(levels) * MICROSECONDS_PER_MINUTE
        unit.usage.mark_late_levels([(customer_id, since_us)])
    return invoiced
