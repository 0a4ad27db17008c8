"""Events that waited are counted once their customer or meter is there. On both databases."""

import pytest

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.usage import DISCARDED, EventKey, EventRow
from billing_server.services import redrive_quarantine as module
from billing_server.services.ingest_tally import Tally
from billing_server.services.rating_terms import TermsCache
from billing_server.services.redrive_quarantine import (
    Redriven,
    redrive_events,
    redrive_quarantine,
)
from billing_server.store.unit_of_work import SqlStore
from billing_server.store.usage_repository import SqlUsageRepository
from metering.errors import ConflictError
from tests.billing_server.ingest_world import START, IngestWorld, event


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


def test_events_are_counted_once_when_their_customer_appears_r20(world: IngestWorld) -> None:
    agent = world.agent()
    agent.push(*(event(f"e{n}", customer="late") for n in range(3)), event("x", customer="other"))
    assert redrive_quarantine(world.store) == Redriven(counted=0, waiting=4)
    world.add_customer("late")
    world.subscribe("late")
    assert redrive_quarantine(world.store, customer_id="late") == Redriven(counted=3)
    assert redrive_quarantine(world.store, customer_id="late") == Redriven()
    assert world.totals("late") == {("input_tokens", ""): 300}
    assert world.charges("late")["input"].quantity == 300
    assert world.waiting() == {"x": "CUSTOMER_UNKNOWN"}
    # A repeat of the push is answered by what is stored: the events count now.
    assert agent.push(event("e0", customer="late"), first_seq=1).tally == Tally(counted=1)
    assert world.totals("late") == {("input_tokens", ""): 300}


def test_an_event_is_counted_when_its_meter_appears_r20(world: IngestWorld) -> None:
    world.agent().push(event("e1", quantities={"input_tokens": "5", "images": "2"}))
    assert world.totals() == {}
    with world.store.write() as unit:
        unit.catalog.lock()
        unit.catalog.put_meter(Meter(key="images", quantity="images"), update_time=START)
        unit.catalog.advance_revision()
    assert redrive_quarantine(world.store) == Redriven(counted=1)
    assert world.totals() == {("images", ""): 2, ("input_tokens", ""): 5}


def test_an_event_whose_reason_changes_goes_on_waiting_under_the_new_one(
    world: IngestWorld,
) -> None:
    world.agent().push(event("e1", customer="late", quantities={"input_tokens": "0.5"}))
    assert world.waiting() == {"e1": "CUSTOMER_UNKNOWN"}
    world.add_customer("late")
    assert redrive_quarantine(world.store) == Redriven(waiting=1)
    assert world.waiting() == {"e1": "QUANTITY_TOO_PRECISE"}


def test_events_are_worked_through_in_bounded_batches(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REDRIVE_EVENTS_MAX", 2)
    names = ["a", "b", "c"]
    world.agent().push(*(event(f"e{n}", customer=names[n % 3]) for n in range(7)))
    world.add_customer("b")
    assert redrive_quarantine(world.store) == Redriven(counted=2, waiting=5)
    assert world.totals("b") == {("input_tokens", ""): 200}


def test_a_minute_that_is_full_keeps_only_the_event_that_does_not_fit(world: IngestWorld) -> None:
    largest = "999999999999999999"
    world.agent().push(
        *(
            event(f"e{n:02}", customer="late", quantities={"input_tokens": largest})
            for n in range(11)
        )
    )
    world.add_customer("late")
    assert redrive_quarantine(world.store) == Redriven(counted=9, waiting=2)
    assert set(world.waiting().values()) == {"QUANTITY_TOO_LARGE"}
    assert world.totals("late") == {("input_tokens", ""): 9 * int(largest)}


def test_an_event_that_was_discarded_while_it_was_counted_undoes_the_count(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.agent().push(event("e1", customer="late"))
    world.add_customer("late")
    read = SqlUsageRepository.stored_events

    def read_before_the_discard(
        usage: SqlUsageRepository, keys: list[EventKey]
    ) -> dict[EventKey, EventRow]:
        rows = read(usage, keys)
        usage.set_quarantine(keys, reason=DISCARDED, detail="by another server")
        return rows

    monkeypatch.setattr(SqlUsageRepository, "stored_events", read_before_the_discard)
    with pytest.raises(ConflictError) as lost:
        redrive_quarantine(world.store)
    assert lost.value.reason == "EVENT_TAKEN_MEANWHILE"
    assert world.totals("late") == {}


def test_an_event_that_was_discarded_since_it_was_listed_is_passed_over(world: IngestWorld) -> None:
    world.agent().push(event("e1", customer="late"))
    world.add_customer("late")
    with world.store.write() as unit:
        rows = unit.usage.quarantined(limit=9)
        unit.usage.set_quarantine([("e1", "late")], reason=DISCARDED, detail="why")
        assert redrive_events(unit, rows=rows, terms=TermsCache()) == Redriven()
    assert world.totals("late") == {}
