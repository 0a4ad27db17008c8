"""A minute that is counted anew holds what its events and corrections say. On both databases."""

from datetime import UTC, datetime

from sqlalchemy import text

from billing_server.domain.ports.usage import EventRow
from billing_server.domain.ports.usage_facts import Correction, CorrectionKind
from billing_server.services.recount_usage import corrected, recount_minutes
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.ingest_world import event
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

TABLES = ("usage_bucket", "usage_reading", "running_charge", "charge_value")


def contents(store: SqlStore) -> dict[str, list[tuple]]:  # type: ignore[type-arg]
    with store.read() as unit:
        return {
            name: sorted(
                map(tuple, unit.connection.execute(text(f"SELECT * FROM {name}"))), key=str
            )
            for name in TABLES
        }


def test_a_recount_of_what_is_right_changes_nothing_and_mends_what_is_wrong(
    store: SqlStore,
) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    names = ("tokens", "calls", "peak", "seats", "rating", "gb")
    for number, value in enumerate(("6", "2", "4")):
        at = f"2026-04-10T12:0{number % 2}:30Z"
        sender.send(dict.fromkeys(names, value), at=at, user=f"u{value}")
    right = contents(store)
    minute = int(parse_instant("2026-04-10T12:00:00Z").timestamp()) // 60
    with store.write() as unit:
        recount_minutes(unit, customer_id="acme", minutes=[minute, minute + 1])
    assert contents(store) == right
    with store.write() as unit:
        unit.connection.execute(text("UPDATE usage_bucket SET value = value + 1"))
        unit.connection.execute(text("DELETE FROM usage_reading"))
        recount_minutes(unit, customer_id="acme", minutes=[minute, minute + 1, minute + 7])
    assert contents(store) == right


def test_an_event_counts_as_its_newest_correction_says() -> None:
    message = event("e", quantities={"tokens": "5"})
    row = EventRow("e", "acme", 0, 0, 1, 1, message.SerializeToString(), None, None)
    sent = corrected(row, None)
    assert sent is not None
    assert sent.quantities == {"tokens": "5"}
    now = datetime(2026, 4, 1, tzinfo=UTC)
    void = Correction("e", "acme", 1, CorrectionKind.VOID, None, "", now)
    assert corrected(row, void) is None
    amend = Correction("e", "acme", 2, CorrectionKind.AMEND, {"tokens": "7"}, "", now)
    counted = corrected(row, amend)
    assert counted is not None
    assert counted.quantities == {"tokens": "7"}
