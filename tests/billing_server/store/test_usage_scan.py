"""All usage in windows of whole minutes. On both databases."""

from billing_server.domain.ports.usage import BucketChange, EventRow
from billing_server.store.unit_of_work import SqlStore

MINUTE_US = 60_000_000


def row(event_id: str, minute: int, *, reason: str | None = None) -> EventRow:
    time_us = minute * MINUTE_US + 5
    return EventRow(event_id, "acme", time_us, time_us, 1, 1, b"p", reason, None)


def test_windows_tile_the_time_and_hold_about_as_many_events_as_asked(store: SqlStore) -> None:
    with store.write() as unit:
        scan = unit.usage_scan
        assert scan.first_minute() is None
        unit.usage.insert_events(
            [row(f"e{number}", 10 + number) for number in range(5)]
            + [row("dense-1", 12), row("dense-2", 12), row("waits", 11, reason="WHY")]
        )
        unit.usage.add_to_buckets([BucketChange(9, "acme", 1, 5, 1)])
        assert scan.first_minute() == 9
        found, start = [], scan.first_minute()
        while start is not None:
            end = scan.window_end(start, limit=2)
            events = scan.events(start, end=end)
            found.append(sorted(event_id for _, _, event_id, _ in events))
            assert [bucket[0] for bucket in scan.buckets(start, end=end)] == (
                [9] if start == 9 else []
            )
            start = end
    assert found == [["e0"], ["e1"], ["dense-1", "dense-2", "e2"], ["e3", "e4"]]


def test_series_are_looked_up_and_never_made(store: SqlStore) -> None:
    key = ("acme", "tokens", "{}")
    with store.write() as unit:
        assert unit.usage_scan.known_series([key]) == {}
        numbers = unit.usage.series_ids([key])
        assert unit.usage_scan.known_series([key, ("acme", "no", "{}")]) == numbers
        assert unit.usage_scan.customers_with_usage(after="", limit=5) == ["acme"]
        assert unit.usage_scan.customers_with_usage(after="acme", limit=5) == []
        assert unit.usage_scan.charge_periods("acme") == []
