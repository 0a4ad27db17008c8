"""Which agents carry whose usage is written once an hour, and only remembered once committed."""

from sqlalchemy import text

from billing_server.services import carried_customers as module
from billing_server.services.carried_customers import CarriedCustomers
from billing_server.services.usage_payload import UsagePush, decode_push
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock
from tests.billing_server.ingest_world import NOON, IngestWorld, block, event


def _events(*customers: str) -> list[module.DecodedEvent]:
    members = [event(f"e-{number}", customer=each) for number, each in enumerate(customers)]
    push = UsagePush(
        server_incarnation="i",
        session_no=1,
        first_seq=1,
        blocks=(block(members, first_seq=1),),
    )
    return decode_push(push, agent_ref=1)


def _rows(store: SqlStore) -> list[tuple[str, int]]:
    with store.read() as unit:
        found = unit.connection.execute(
            text("SELECT customer_id, carry_time FROM agent_customer ORDER BY customer_id")
        )
        return [(row[0], row[1]) for row in found]


def test_a_customer_is_written_once_an_hour(store: SqlStore) -> None:
    carried, clock = CarriedCustomers(), ManualClock(NOON)
    with store.write() as unit:
        noted = carried.note(unit, agent_ref=1, events=_events("a", "b", "a"), now=clock.now())
    carried.keep(noted)
    assert {each[1] for each in noted} == {"a", "b"}
    before = _rows(store)
    with store.write() as unit:
        assert not carried.note(unit, agent_ref=1, events=_events("a", "b"), now=clock.now())
        later = clock.now().replace(hour=13)
        assert carried.note(unit, agent_ref=1, events=_events("a"), now=later)
    after = _rows(store)
    assert [each[0] for each in after] == ["a", "b"]
    assert after[0][1] > before[0][1]
    assert after[1] == before[1]


def test_what_was_undone_is_written_again(store: SqlStore) -> None:
    carried = CarriedCustomers()
    for _ in range(2):
        with store.write() as unit:
            # Never kept: as where the transaction was rolled back.
            assert carried.note(unit, agent_ref=1, events=_events("a"), now=NOON)


def test_memory_is_bounded(memory_store: SqlStore, monkeypatch: object) -> None:
    carried = CarriedCustomers()
    carried.keep(frozenset((1, f"c-{number}", 0) for number in range(module.KNOWN_MAX)))
    carried.keep(frozenset({(1, "one more", 0)}))
    assert carried._known == {(1, "one more", 0)}


def test_counting_writes_who_carried_whose_usage(store: SqlStore) -> None:
    world = IngestWorld(store)
    world.agent().push(event("e-1"), event("e-2", customer="nobody yet"))
    assert [each[0] for each in _rows(store)] == ["acme", "nobody yet"]
