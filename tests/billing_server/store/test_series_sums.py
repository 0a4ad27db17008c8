"""Sums of a check are kept outside the memory, exactly, by customer and window."""

from billing_server.domain.ports.usage import LatestValue
from billing_server.domain.ports.usage_scan import SeriesSum
from billing_server.store.series_sums import open_series_sums


def test_sums_come_back_as_they_were_kept_by_window() -> None:
    large = SeriesSum(1, 1, total=50_000 * 2**62 + 7, event_count=50_000)
    below = SeriesSum(1, 0, total=-5, event_count=3)
    peak = SeriesSum(2, 0, total=9, event_count=2, maximum=8)
    last = SeriesSum(3, 0, total=4, event_count=1, latest=LatestValue(60_000_000, "e1", 4))
    with open_series_sums() as sums:
        sums.add([("acme", large)])
        sums.add([("acme", each) for each in (peak, below, last)] + [("beta", below)])
        assert sums.of_customer("acme") == [below, peak, last, large]
        assert sums.of_customer("beta") == [below]
        assert sums.of_customer("gamma") == []


def test_each_check_begins_with_nothing() -> None:
    for _ in range(2):
        with open_series_sums() as sums:
            assert sums.of_customer("acme") == []
            sums.add([("acme", SeriesSum(1, 0, total=1, event_count=1))])
