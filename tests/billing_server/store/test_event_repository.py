"""Events read back, on both databases."""

from datetime import UTC, datetime, timedelta

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import START, IngestWorld, event

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_events_are_walked_by_minute_time_and_id(store: SqlStore) -> None:
    world = IngestWorld(store)
    world.add_customer("other")
    world.agent().push(
        event("b", at=NOON + 2 * SECOND),
        event("a", at=NOON + 2 * SECOND),
        event("c", at=NOON + SECOND),
        event("later", at=NOON + 60 * SECOND),
        event("theirs", customer="other", at=NOON),
        event("waits", at=NOON, quantities={"images": "1"}),
        event("gpu", at=NOON + 600 * SECOND, quantities={"gpu_seconds": "1"}),
    )
    end = START + timedelta(days=31)
    with store.read() as unit:
        minutes = unit.events.minutes(
            "acme", meter_key="input_tokens", start=START, end=end, limit=9
        )
        assert minutes == (NOON, NOON + 60 * SECOND)
        first = unit.events.minutes("acme", meter_key="input_tokens", start=START, end=end, limit=1)
        assert first == (NOON,)
        rows = unit.events.in_minute("acme", minute=NOON, after=None, limit=2)
        assert [row.event_id for row in rows] == ["c", "a"]
        position = rows[-1].event_time_us, rows[-1].event_id
        rest = unit.events.in_minute("acme", minute=NOON, after=position, limit=2)
        assert [row.event_id for row in rest] == ["b"]
