"""Events are grouped before they touch the database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from billing_server.services.ingest_tally import Tally
from billing_server.services.ingest_usage import UsageIngester
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork
from billing_server.store.usage_repository import SqlUsageRepository
from metering.api.v1 import usage_pb2
from metering.errors import UnavailableError
from tests.billing_server.ingest_world import START, AgentAtWork, IngestWorld, event


def test_events_of_a_minute_become_one_row_a_series_and_one_charge_a_price(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = IngestWorld(memory_store)
    written: dict[str, int] = {}
    for name in ("add_to_buckets", "put_charges"):
        original = getattr(SqlUsageRepository, name)

        def counting(self: object, rows: list, *, _name: str = name, _original=original) -> None:  # type: ignore[no-untyped-def,type-arg]
            written[_name] = written.get(_name, 0) + len(rows)
            _original(self, rows)

        monkeypatch.setattr(SqlUsageRepository, name, counting)
    outcome = world.agent().push(
        *(event(f"e{n}", dimensions={"region": "eu" if n % 2 else "us"}) for n in range(100))
    )
    assert outcome.tally == Tally(counted=100)
    assert written == {"add_to_buckets": 2, "put_charges": 1}
    assert world.charges()["input"].quantity == 10_000


class StoreWithWitness:
    """A store whose next write transaction fails, with a witness right after it was undone.

    The witness stands for whoever waited for the customer: it goes on as soon as the locks are
    released, before the failed call has cleaned up anything.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.read = store.read
        self.witness: Callable[[], object] | None = None

    @contextmanager
    def write(self) -> Iterator[SqlUnitOfWork]:
        witness, self.witness = self.witness, None
        try:
            with self._store.write() as unit:
                yield unit
                if witness is not None:
                    raise UnavailableError(reason="DISK_FULL", message="full")  # noqa: TRY301
        except BaseException:
            if witness is not None:
                witness()
            raise


def orphaned_buckets(store: SqlStore) -> int:
    """Returns how many buckets belong to no series, which no fold would ever find."""
    statement = (
        "SELECT count(*) FROM usage_bucket WHERE NOT EXISTS (SELECT 1 FROM usage_series "
        "WHERE usage_series.series_id = usage_bucket.series_id "
        "AND usage_series.customer_id = usage_bucket.customer_id)"
    )
    with store.read() as unit:
        return unit.connection.execute(text(statement)).scalar_one()


def test_a_series_that_was_undone_is_used_by_nobody(store: SqlStore) -> None:
    world = IngestWorld(store)
    failing = StoreWithWitness(store)
    world.ingester = UsageIngester(store=failing, clock=world.clock)
    first, second = world.agent(), world.agent()
    first.push(event("warm", dimensions={"k": "old"}))  # The customer is compiled and shared.
    failing.witness = lambda: second.push(event("b", dimensions={"k": "new"}))
    with pytest.raises(UnavailableError):
        first.push(event("a", dimensions={"k": "new"}))
    assert orphaned_buckets(store) == 0
    # The agent's repeat is counted beside it, in the same series.
    assert first.push(event("a", dimensions={"k": "new"}), first_seq=2).tally == Tally(counted=1)
    assert orphaned_buckets(store) == 0
    with store.read() as unit:
        folded = unit.usage.fold_usage("acme", start=START, end=START + timedelta(days=31))
    assert {each.dimensions["k"]: each.total for each in folded} == {"old": 100, "new": 200}


@pytest.mark.timeout(60)
def test_waiting_agents_never_count_under_a_number_that_was_undone(store: SqlStore) -> None:
    """The fast path of one agent fails over and over while others wait for the same customer."""
    world = IngestWorld(store)
    failing, others = world.agent(), [world.agent() for _ in range(3)]
    # 11 of them pass 64 bits in one minute: the part is undone and counted once more, carefully.
    largest = "999999999999999999"
    for number in range(8):
        dimensions = {"k": f"n{number}"}
        big = [
            event(f"big-{number}-{n}", quantities={"input_tokens": largest}, dimensions=dimensions)
            for n in range(11)
        ]
        start = threading.Barrier(1 + len(others))

        def push(
            agent: AgentAtWork,
            events: list[usage_pb2.UsageEvent],
            start: threading.Barrier = start,
        ) -> None:
            start.wait(30)
            agent.push(*events)

        threads = [threading.Thread(target=push, args=(failing, big))] + [
            threading.Thread(
                target=push,
                args=(agent, [event(f"{agent.agent.name}-{number}", dimensions=dimensions)]),
            )
            for agent in others
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert orphaned_buckets(world.store) == 0
    with world.store.read() as unit:
        folded = unit.usage.fold_usage("acme", start=START, end=START + timedelta(days=31))
        counted = unit.connection.execute(
            text("SELECT count(*) FROM usage_event WHERE quarantine_reason IS NULL")
        ).scalar_one()
    assert sum(each.event_count for each in folded) == counted
