"""Running charges are a pure function of buckets and terms. On both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.ingest_world import NOON, START, IngestWorld, event

APRIL = START.replace(month=4)


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


def rebuild(world: IngestWorld, customer_id: str = "acme") -> None:
    with world.store.write() as unit:
        unit.customers.lock([customer_id])
        rebuild_running_charges(unit, customer_id=customer_id)


def test_a_rebuild_gives_what_ingest_booked_in_every_period(world: IngestWorld) -> None:
    world.agent().push(
        event("e1", quantities={"input_tokens": "12345", "gpu_seconds": "1.5", "users": "3"}),
        event("e2", dimensions={"model": "large"}),
        event("e3", quantities={"requests": "1", "users": "9"}, at=NOON + timedelta(minutes=3)),
        event("e4", at=APRIL),
    )
    booked = world.charges(), world.charges(period_start=APRIL)
    with world.store.write() as unit:
        unit.connection.execute(text("UPDATE running_charge SET amount_minor = 1"))
    assert (world.charges(), world.charges(period_start=APRIL)) != booked
    rebuild(world)
    assert (world.charges(), world.charges(period_start=APRIL)) == booked


def test_a_subscription_that_starts_after_its_usage_came_charges_it(world: IngestWorld) -> None:
    world.add_customer("late")
    world.agent().push(event("e1", customer="late"), event("e2", customer="late"))
    assert world.charges("late") == {}
    world.subscribe("late")
    assert world.charges("late")["input"].quantity == 200


def test_the_earliest_started_subscription_takes_the_usage_of_the_others(
    world: IngestWorld,
) -> None:
    middle = START + timedelta(days=5)
    world.add_customer("two")
    world.subscribe("two", subscription_id="sub-two", start=middle)
    world.agent().push(
        event("e1", customer="two", at=middle),
        event("e2", customer="two", at=middle, dimensions={"subscription": "sub-two"}),
    )
    assert world.charges("two", period_start=middle)["input"].quantity == 200
    world.subscribe("two", subscription_id="sub-earlier", start=START)
    # e2 names its subscription and stays; e1 moves to the one that started first.
    assert world.charges("two", period_start=middle)["input"].quantity == 100


def test_rating_that_works_again_clears_the_mark(world: IngestWorld) -> None:
    world.agent().push(event("e1"))
    with world.store.write() as unit:
        unit.usage.set_rating_failed("sub-acme", reason="broken")
        unit.customers.advance_revision("acme")
    world.agent().push(event("e2"))
    assert world.charges()["input"].quantity == 100  # Counted, not rated while marked.
    rebuild(world)
    assert world.charges()["input"].quantity == 200
    with world.store.read() as unit:
        assert unit.usage.rating_failed("acme") == {}
    world.agent().push(event("e3"))
    assert world.charges()["input"].quantity == 300


def test_a_subscription_that_cannot_be_rated_is_marked_and_spoils_no_other(
    world: IngestWorld,
) -> None:
    # Counted while nothing charges it; at 0.005 each it comes to 5 × 10^17 cents.
    world.add_customer("late")
    huge = {"input_tokens": "999999999999999999"}
    world.agent().push(event("e1", customer="late", quantities=huge))
    world.subscribe("late")
    with world.store.read() as unit:
        failed = unit.usage.rating_failed("late")
    assert list(failed) == ["sub-late"]
    assert "no invoice can hold" in failed["sub-late"]


def test_a_customer_that_is_not_there_is_named(world: IngestWorld) -> None:
    world.agent().push(event("e1"))
    with world.store.write() as unit:
        unit.connection.execute(text("UPDATE usage_bucket SET customer_id = 'ghost'"))
        unit.connection.execute(text("UPDATE usage_series SET customer_id = 'ghost'"))
        with pytest.raises(NotFoundError):
            rebuild_running_charges(unit, customer_id="ghost")
