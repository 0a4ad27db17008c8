"""Waiting events are found again, whoever was stopped before counting them. On both databases."""

import pytest

from billing_server.domain.catalog.model import Meter
from billing_server.services import watch_quarantine as module
from billing_server.services.redrive_quarantine import Redriven
from billing_server.services.watch_quarantine import QuarantineWatch, redrive_promptly
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ConflictError
from tests.billing_server.ingest_world import START, IngestWorld, event


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


def test_events_are_counted_once_their_customer_is_there_r20(world: IngestWorld) -> None:
    watch = QuarantineWatch(world.store)
    world.agent().push(*(event(f"e{n}", customer=f"c{n}") for n in range(3)))
    assert watch.look() == Redriven()
    world.add_customer("c1")
    assert watch.look() == Redriven(counted=1)
    assert watch.look() == Redriven()
    assert world.totals("c1") == {("input_tokens", ""): 100}
    assert set(world.waiting()) == {"e0", "e2"}


def test_events_are_counted_once_their_meter_is_there_r20(world: IngestWorld) -> None:
    watch = QuarantineWatch(world.store)
    world.agent().push(event("e1", quantities={"images": "2"}))
    assert watch.look() == Redriven(waiting=1)
    # Tried once for this catalog: not again every second.
    assert watch.look() == Redriven()
    with world.store.write() as unit:
        unit.catalog.lock()
        unit.catalog.put_meter(Meter(key="images", quantity="images"), update_time=START)
        unit.catalog.advance_revision()
    assert watch.look() == Redriven(counted=1)
    assert watch.look() == Redriven()
    assert world.totals() == {("images", ""): 2}


def test_a_look_is_bounded_and_the_next_one_goes_on_behind_it(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CUSTOMERS_A_LOOK", 2)
    watch = QuarantineWatch(world.store)
    world.agent().push(*(event(f"e{n}", customer=f"c{n}") for n in range(5)))
    for number in range(5):
        world.add_customer(f"c{number}")
    assert [watch.look().counted for _ in range(4)] == [2, 2, 1, 0]
    assert world.waiting() == {}


def test_a_stop_leaves_the_rest_to_the_next_look(world: IngestWorld) -> None:
    watch = QuarantineWatch(world.store)
    world.agent().push(event("e1", customer="late"))
    world.add_customer("late")
    assert watch.look(should_stop=lambda: True) == Redriven()
    assert watch.look() == Redriven(counted=1)


def test_a_busy_database_puts_counting_off_and_does_not_fail_the_call(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = QuarantineWatch(world.store)
    world.agent().push(event("e1", customer="late"))
    world.add_customer("late")

    def busy(*_: object, **__: object) -> None:
        raise ConflictError(reason="DATABASE_BUSY", message="busy")

    with monkeypatch.context() as patch:
        patch.setattr(module, "redrive_quarantine", busy)
        redrive_promptly(world.store, customer_id="late")
        with pytest.raises(ConflictError):
            watch.look()
    assert watch.look() == Redriven(counted=1)
