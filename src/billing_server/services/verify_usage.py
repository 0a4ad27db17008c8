"""Checking what was made of usage against the stored events, and mending it.

Buckets and readings are compared with what the events, their corrections and the adjustments say,
window by window, so that memory does not grow with the usage. Running charges are then compared
with a fold of the buckets. What differs is a bug or a damaged disk: it is told, and made anew where
that is asked for.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.usage.instants import instant_from_minute
from billing_server.services.charge_differences import charge_differences
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.period_usage import fold_period
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.recount_usage import recount_minutes
from billing_server.services.recount_window import BucketState, Expected, WindowCounter
from metering.clock import format_instant
from metering.period import Period

WINDOW_EVENTS: Final = 50_000
"""Events of one window: some 20 MiB."""
CUSTOMERS_TOGETHER: Final = 200
"""Customers whose charges are compared in one transaction."""
DIFFERENCES_KEPT_MAX: Final = 100
"""Differences that are told one by one; the rest is counted."""


class VerifyMode(Enum):
    """What is done with differences."""

    REPORT = "report"
    REPAIR = "repair"


@dataclass(slots=True)
class VerifyReport:
    """What a check found."""

    event_count: int = 0
    """Counted events that were read."""
    bucket_count: int = 0
    """Minute buckets that were compared."""
    charge_count: int = 0
    """Running charges that were compared."""
    difference_count: int = 0
    """What differed."""
    repaired_count: int = 0
    """Minutes and customers that were made anew."""
    differences: list[str] = field(default_factory=list)
    """The first of the differences, each a line for people."""

    def tell(self, line: str) -> None:
        """Notes a difference."""
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_KEPT_MAX:
            self.differences.append(line)


def verify_usage(
    store: Store,
    *,
    mode: VerifyMode = VerifyMode.REPORT,
    on_progress: Callable[[int], None] = lambda _: None,
) -> VerifyReport:
    """Compare buckets, readings and running charges with the stored events.

    Args:
        store: opens the transactions; none may be open.
        mode: whether what differs is made anew.
        on_progress: told how many events were read so far.
    """
    report = VerifyReport()
    counter: WindowCounter | None = None
    start: int | None = None
    while True:
        with store.read() as unit:
            if counter is None:
                meters, kept = unit.catalog.meters(), unit.catalog.kept_by_event()
                counter = WindowCounter(meters, kept_by_event=kept)
                start = unit.usage_scan.first_minute()
            if start is None:
                break
            end = unit.usage_scan.window_end(start, limit=WINDOW_EVENTS)
            wrong = _check_window(unit, counter, start=start, end=end, report=report)
        if mode is VerifyMode.REPAIR:
            _recount(store, wrong=wrong, report=report)
        on_progress(report.event_count)
        start = end
    _check_charges(store, mode=mode, report=report)
    return report


def _check_window(
    unit: UnitOfWork, counter: WindowCounter, *, start: int, end: int | None, report: VerifyReport
) -> dict[str, set[int]]:
    """Compare one window; return the minutes of customers that differ."""
    scan = unit.usage_scan
    events = scan.events(start, end=end)
    expected = counter.count(
        unit,
        events=events,
        corrections=scan.corrections(start, end=end),
        adjustments=scan.adjustments(start, end=end),
    )
    report.event_count += len(events)
    wrong: dict[str, set[int]] = defaultdict(set)
    stored = scan.buckets(start, end=end)
    report.bucket_count += len(stored)
    differing, missing = expected.compare(stored)
    for minute, customer_id, series_id, *state in differing:
        wanted = expected.bucket((minute, series_id))
        wrong[customer_id].add(minute)
        report.tell(_difference(customer_id, minute, series_id, tuple(state), wanted))
    for minute, series_id in missing:
        customer_id = counter.owners[series_id][0]
        wrong[customer_id].add(minute)
        wanted = expected.bucket((minute, series_id))
        report.tell(_difference(customer_id, minute, series_id, None, wanted))
    _check_readings(unit, expected, window=(start, end), report=report, wrong=wrong)
    return wrong


def _check_readings(
    unit: UnitOfWork,
    expected: Expected,
    *,
    window: tuple[int, int | None],
    report: VerifyReport,
    wrong: dict[str, set[int]],
) -> None:
    start, end = window
    for series_id, rows in sorted(expected.readings.items()):
        wanted = sorted(rows, key=lambda row: (row.event_time_us, row.event_id))
        customer_id = wanted[0].customer_id
        stored = unit.usage_scan.readings(customer_id, series_id=series_id, start=start, end=end)
        if stored != wanted:
            differing = {row.event_time_us // 60_000_000 for row in {*stored} ^ {*wanted}}
            wrong[customer_id] |= differing
            report.tell(
                f"customer {customer_id}, series {series_id}: readings of {len(differing)} minutes "
                "are not those of the events"
            )


def _difference(
    customer_id: str,
    minute: int,
    series_id: int,
    stored: tuple[object, ...] | None,
    wanted: BucketState | None,
) -> str:
    return (
        f"customer {customer_id}, minute {format_instant(instant_from_minute(minute))}, series "
        f"{series_id}: stored {_shown(stored)}, the events say {_shown(wanted)}"
    )


def _shown(state: tuple[object, ...] | None) -> str:
    return "nothing" if state is None else f"{state[0]} from {state[1]} events"


def _recount(store: Store, *, wrong: dict[str, set[int]], report: VerifyReport) -> None:
    for customer_id, minutes in sorted(wrong.items()):
        with store.write() as unit:
            unit.customers.lock([customer_id])
            recount_minutes(unit, customer_id=customer_id, minutes=sorted(minutes))
        report.repaired_count += len(minutes)


def _check_charges(store: Store, *, mode: VerifyMode, report: VerifyReport) -> None:
    """Compare running charges with folds of the buckets, customer by customer."""
    after = ""
    while True:
        wrong: list[str] = []
        with store.read() as unit:
            found = unit.usage_scan.customers_with_usage(after=after, limit=CUSTOMERS_TOGETHER)
            for customer_id in found:
                if unit.customers.get(customer_id) is None:
                    continue
                before = report.difference_count
                _check_customer(unit, customer_id=customer_id, report=report)
                if report.difference_count > before:
                    wrong.append(customer_id)
        for customer_id in wrong if mode is VerifyMode.REPAIR else ():
            with store.write() as unit:
                unit.customers.lock([customer_id])
                rebuild_running_charges(unit, customer_id=customer_id)
            report.repaired_count += 1
        if len(found) < CUSTOMERS_TOGETHER:
            return
        after = found[-1]


def _check_customer(unit: UnitOfWork, *, customer_id: str, report: VerifyReport) -> None:
    terms = load_customer_terms(unit, customer_id=customer_id)
    failed = unit.usage.rating_failed(customer_id)
    for subscription_id, period in _periods(unit, terms=terms):
        if subscription_id in failed:
            continue
        running = unit.usage.running_charges(
            subscription_id, customer_id=customer_id, period_start=period.start
        )
        usage = fold_period(unit, terms=terms, subscription_id=subscription_id, period=period)
        rows = usage.charge_rows()
        report.charge_count += len(rows)
        for each in charge_differences(running, folded=rows):
            group = f", group {each.group_key}" if each.group_key else ""
            report.tell(
                f"customer {customer_id}, subscription {subscription_id}, period "
                f"{format_instant(period.start)}, price {each.price_key}, segment "
                f"{each.segment}{group}: stored {each.stored}; the usage comes to {each.folded}"
            )


def _periods(unit: UnitOfWork, *, terms: CustomerTerms) -> Iterator[tuple[str, Period]]:
    """Walk the periods of a customer in which there is usage, or a charge without it."""
    span = unit.usage.usage_span(terms.customer.id)
    charged: dict[str, set[datetime]] = defaultdict(set)
    for subscription_id, period_start in unit.usage_scan.charge_periods(terms.customer.id):
        charged[subscription_id].add(period_start)
    for subscription_id, timeline in terms.timelines.items():
        periods: dict[datetime, Period] = {}
        if span is not None:
            end = span[1] + timedelta(minutes=1)
            for period in timeline.periods_between(start=span[0], end=end):
                periods[period.start] = period
        for period_start in charged[subscription_id]:
            found = timeline.period_at(period_start)
            if found is not None:
                periods[found.start] = found
        for _, period in sorted(periods.items()):
            yield subscription_id, period
