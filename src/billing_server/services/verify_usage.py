"""Checking what was made of usage against the stored events, and mending it.

Buckets and readings are compared with what the events, their corrections and the adjustments say,
window by window, so that memory does not grow with the usage. What is right in a window is summed
on the way, and running charges are then compared with these sums. What differs is a bug or a
damaged disk: it is told, and made anew where that is asked for.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.usage.instants import instant_from_minute
from billing_server.services.collection_pause import collection_paused
from billing_server.services.recount_usage import recount_buckets
from billing_server.services.recount_window import BucketState, Expected, WindowCounter
from billing_server.services.verified_sums import VerifiedSums
from billing_server.services.verify_charges import check_charges
from billing_server.services.verify_report import VerifyMode, VerifyReport
from metering.clock import format_instant

__all__ = ["VerifyMode", "VerifyReport", "verify_usage"]

WINDOW_EVENTS: Final = 50_000
"""Events of one window: some 30 MiB."""
STRAYED_TOGETHER: Final = 1_000
"""Buckets under a wrong customer that are told and mended in one go."""


def verify_usage(
    store: Store,
    *,
    mode: VerifyMode = VerifyMode.REPORT,
    on_progress: Callable[[int], None] = lambda _: None,
) -> VerifyReport:
    """Compare buckets, readings and running charges with the stored events.

    What was made anew is checked again: the report says what is left.

    Args:
        store: opens the transactions; none may be open.
        mode: whether what differs is made anew.
        on_progress: told how many events were read so far.
    """
    report = _checked(store, mode=mode, on_progress=on_progress)
    if mode is VerifyMode.REPAIR and report.difference_count:
        report.settle(_checked(store, mode=VerifyMode.REPORT, on_progress=on_progress))
    return report


def _checked(store: Store, *, mode: VerifyMode, on_progress: Callable[[int], None]) -> VerifyReport:
    report = VerifyReport()
    with store.series_sums() as kept_sums:
        sums = VerifiedSums(kept_sums)
        _check_strayed(store, mode=mode, report=report)
        _check_windows(store, mode=mode, report=report, sums=sums, on_progress=on_progress)
        check_charges(store, mode=mode, report=report, sums=sums)
    return report


def _check_strayed(store: Store, *, mode: VerifyMode, report: VerifyReport) -> None:
    """Tell the buckets that stand under another customer than their series has."""
    while True:
        wrong: dict[str, set[int]] = defaultdict(set)
        with store.read() as unit:
            found = unit.usage_scan.strayed_buckets(limit=STRAYED_TOGETHER)
        for minute, customer_id, series_id, owner in found:
            wrong[customer_id].add(minute)
            if owner is not None:
                wrong[owner].add(minute)
            report.tell(
                f"customer {customer_id}, minute {format_instant(instant_from_minute(minute))}: a "
                f"bucket of series {series_id}, which is of {owner or 'nobody'}"
            )
        if mode is VerifyMode.REPAIR:
            _recount(store, wrong=wrong)
        else:
            report.wrong_buckets |= wrong.keys()
        if len(found) < STRAYED_TOGETHER or mode is VerifyMode.REPORT:
            return


def _check_windows(
    store: Store,
    *,
    mode: VerifyMode,
    report: VerifyReport,
    sums: VerifiedSums,
    on_progress: Callable[[int], None],
) -> None:
    """Compare buckets and readings with the events, window by window."""
    with store.read() as unit:
        meters, kept = unit.catalog.meters(), unit.catalog.kept_by_event()
        counter = WindowCounter(meters, kept_by_event=kept)
        start = unit.usage_scan.first_minute()
    while start is not None:
        with store.read() as unit, collection_paused():
            end = unit.usage_scan.window_end(start, limit=WINDOW_EVENTS)
            expected = _counted(unit, counter, start=start, end=end, report=report)
            wrong = _compare(unit, counter, expected, window=(start, end), report=report)
        if wrong:
            sums.leave_out(start=start, end=end)
        else:
            sums.add(counter, expected, start=start, end=end)
        if mode is VerifyMode.REPAIR:
            _recount(store, wrong=wrong)
        else:
            report.wrong_buckets |= wrong.keys()
        on_progress(report.event_count)
        start = end


def _counted(
    unit: UnitOfWork, counter: WindowCounter, *, start: int, end: int | None, report: VerifyReport
) -> Expected:
    """Return what a window should hold, from its events."""
    scan = unit.usage_scan
    events = scan.events(start, end=end)
    report.event_count += len(events)
    return counter.count(
        unit,
        events=events,
        corrections=scan.corrections(start, end=end),
        adjustments=scan.adjustments(start, end=end),
    )


def _compare(
    unit: UnitOfWork,
    counter: WindowCounter,
    expected: Expected,
    *,
    window: tuple[int, int | None],
    report: VerifyReport,
) -> dict[str, set[int]]:
    """Compare one window; return the minutes of customers that differ."""
    start, end = window
    wrong: dict[str, set[int]] = defaultdict(set)
    stored = unit.usage_scan.window_buckets(start, end=end)
    report.bucket_count += stored.bucket_count
    if not expected.equals(stored):
        _tell_buckets(unit, counter, expected, window=window, report=report, wrong=wrong)
    _check_readings(unit, expected, window=window, report=report, wrong=wrong)
    return wrong


def _tell_buckets(
    unit: UnitOfWork,
    counter: WindowCounter,
    expected: Expected,
    *,
    window: tuple[int, int | None],
    report: VerifyReport,
    wrong: dict[str, set[int]],
) -> None:
    """Tell bucket by bucket how a window differs."""
    differing, missing = expected.compare(unit.usage_scan.buckets(window[0], end=window[1]))
    for minute, customer_id, series_id, *state in differing:
        wanted = expected.bucket((minute, series_id))
        wrong[customer_id].add(minute)
        report.tell(_difference(customer_id, minute, series_id, tuple(state), wanted))
    for minute, series_id in missing:
        customer_id = counter.owners[series_id][0]
        wrong[customer_id].add(minute)
        wanted = expected.bucket((minute, series_id))
        report.tell(_difference(customer_id, minute, series_id, None, wanted))


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


def _recount(store: Store, *, wrong: dict[str, set[int]]) -> None:
    for customer_id, minutes in sorted(wrong.items()):
        with store.write() as unit:
            if unit.customers.get(customer_id) is None:
                # Nobody's usage: what stands under such a name was never counted.
                unit.usage_facts.clear_minutes(customer_id, minutes=minutes)
            else:
                unit.customers.lock([customer_id])
                recount_buckets(unit, customer_id=customer_id, minutes=sorted(minutes))
