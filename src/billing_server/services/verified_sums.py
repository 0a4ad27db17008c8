"""What the buckets of each series come to, summed while a check reads them anyway.

A check reads all buckets in the order of time to compare them. To read them again customer by
customer, for the folds that charges are compared with, would cost a seek a bucket. So the sums of
each window that is right are kept, and a fold takes whole windows from them: only the buckets of
windows that it cuts, or that were not right, are read again.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.domain.ports.usage_scan import SeriesSum, SeriesSums
from billing_server.domain.usage.instants import instant_from_minute, minute_from_instant
from billing_server.services.period_usage import FoldSpan
from billing_server.services.recount_window import Expected, WindowCounter
from metering.period import Period

FOREVER: Final = 2**31
"""A minute behind every other."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A span of minutes that was checked."""

    start: int
    end: int
    """Exclusive."""
    is_summed: bool
    """Whether its buckets were right, and their sums are kept."""


class VerifiedSums:
    """The sums of a check's windows, which follow each other in time without a gap."""

    def __init__(self, kept: SeriesSums) -> None:
        self._kept = kept
        self._windows: list[_Window] = []

    def add(
        self, counter: WindowCounter, expected: Expected, *, start: int, end: int | None
    ) -> None:
        """Keeps the sums of a window whose buckets are as expected.

        Args:
            counter: knows whose the series are.
            expected: what the window holds.
            start: its first minute.
            end: its end; None: no bucket is behind what is expected.
        """
        number = len(self._windows)
        found_end = expected.end_minute(default=start) if end is None else end
        self._windows.append(_Window(start, found_end, is_summed=True))
        self._kept.add(
            (counter.owners[each.series_id][0], each) for each in expected.sums(window=number)
        )

    def leave_out(self, *, start: int, end: int | None) -> None:
        """Notes a window whose buckets were not right: folds read them."""
        self._windows.append(_Window(start, FOREVER if end is None else end, is_summed=False))

    def fold_of(self, unit: UnitOfWork, *, customer_id: str) -> FoldSpan:
        """Returns what folds the buckets of a customer over a span.

        Args:
            unit: its reads see one state.
            customer_id: whose buckets.
        """
        series = unit.usage_scan.series(customer_id)
        by_window: dict[int, list[SeriesUsage]] = defaultdict(list)
        for each in self._kept.of_customer(customer_id):
            if each.series_id in series:
                by_window[each.window].append(_usage(each, series=series))

        def fold(span: Period) -> Iterable[SeriesUsage]:
            found: dict[int, SeriesUsage] = {}
            for part in self._parts(span):
                folded = (
                    by_window.get(part, ())
                    if isinstance(part, int)
                    else unit.usage.fold_usage(customer_id, start=part.start, end=part.end)
                )
                for usage in folded:
                    known = found.get(usage.series_id)
                    found[usage.series_id] = usage if known is None else _joined(known, usage)
            return found.values()

        return fold

    def _parts(self, span: Period) -> Iterator[int | Period]:
        """Walks what a span is made of: numbers of whole windows, and what is to be read."""
        start, end = minute_from_instant(span.start), minute_from_instant(span.end)
        windows = self._windows
        first = max(bisect_right(windows, start, key=lambda window: window.start) - 1, 0)
        unread: list[int] = []
        for number in range(first, len(windows)):
            window = windows[number]
            if window.start >= end:
                break
            if window.is_summed and start <= window.start and window.end <= end:
                yield number
                continue
            # Those that are read follow each other seldom: at the ends of the span.
            unread.append(number)
        for number in unread:
            low, high = max(windows[number].start, start), min(windows[number].end, end)
            if low < high:
                yield Period(instant_from_minute(low), instant_from_minute(high))


def _usage(each: SeriesSum, *, series: Mapping[int, tuple[str, Mapping[str, str]]]) -> SeriesUsage:
    meter_key, dimensions = series[each.series_id]
    return SeriesUsage(
        series_id=each.series_id,
        meter_key=meter_key,
        dimensions=dimensions,
        total=each.total,
        maximum=each.maximum,
        event_count=each.event_count,
        latest=each.latest,
    )


def _joined(first: SeriesUsage, second: SeriesUsage) -> SeriesUsage:
    latest = [each.latest for each in (first, second) if each.latest is not None]
    return replace(
        first,
        total=first.total + second.total,
        maximum=max(first.maximum, second.maximum),
        event_count=first.event_count + second.event_count,
        latest=max(latest, default=None),
    )
