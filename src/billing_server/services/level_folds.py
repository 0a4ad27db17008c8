"""Folds of meters whose levels are weighted by time: they grow as long as a level holds."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.domain.ports.usage_facts import Reading
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.domain.usage.levels import level_before, level_time
from metering.period import Period


def fold_meter(
    unit: UnitOfWork, customer_id: str, *, meter: Meter, span: Period, at: datetime | None = None
) -> tuple[SeriesUsage, ...]:
    """Fold one meter of a customer over a span, by series.

    A level is there without an event in the span, too.

    Args:
        unit: its reads see one state.
        customer_id: whose.
        meter: of any aggregation.
        span: on whole minutes.
        at: the instant of looking, up to which levels count; None: to the span's end.
    """
    if meter.aggregation is Aggregation.TIME_WEIGHTED:
        return tuple(fold_levels(unit, customer_id, meter=meter, span=span, at=at))
    return unit.usage.fold_usage(customer_id, start=span.start, end=span.end, meter_key=meter.key)


def fold_levels(
    unit: UnitOfWork, customer_id: str, *, meter: Meter, span: Period, at: datetime | None = None
) -> Iterator[SeriesUsage]:
    """Walk the series of a meter that had a level in a span, each with its level × time.

    Args:
        unit: its reads see one state.
        customer_id: whose.
        meter: a time-weighted one.
        span: on whole minutes.
        at: the instant of looking: a level counts up to here; None: up to the span's end.
    """
    series = unit.usage_facts.series_of(customer_id, meter_key=meter.key)
    if not series:
        return
    end = span.end if at is None else max(span.start, min(span.end, at))
    inside: dict[int, list[Reading]] = defaultdict(list)
    for reading in unit.usage_facts.readings(
        customer_id, meter_key=meter.key, start=span.start, end=end
    ):
        inside[reading.series_id].append(reading)
    for series_id, dimensions in series.items():
        before = unit.usage_facts.readings_back(customer_id, series_id=series_id, before=span.start)
        level, changes = level_before(before), inside.get(series_id, [])
        if level == 0 and not changes:
            continue
        yield SeriesUsage(
            series_id=series_id,
            meter_key=meter.key,
            dimensions=dimensions,
            total=0,
            maximum=0,
            event_count=sum(not change.is_change for change in changes),
            level_time=level_time(
                level,
                changes=changes,
                start_us=microseconds_from_instant(span.start),
                end_us=microseconds_from_instant(end),
            ),
        )
