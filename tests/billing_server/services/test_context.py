"""The world of the use cases."""

from datetime import timedelta

from billing_server.services.context import BillingSettings, ServiceContext
from billing_server.store.unit_of_work import SqlStore
from metering.clock import SystemClock
from tests.billing_server.world import make_context


def test_ids_come_from_the_randomness_that_was_handed_in(memory_store: SqlStore) -> None:
    first, second = (make_context(memory_store).new_id("inv") for _ in range(2))
    assert first == second
    assert first.startswith("inv_")


def test_only_a_manual_clock_is_a_test_clock(memory_store: SqlStore) -> None:
    assert make_context(memory_store).test_clock is not None
    real = ServiceContext(store=memory_store, clock=SystemClock(), random_bytes=bytes)
    assert real.test_clock is None


def test_the_grace_is_an_hour_unless_it_is_set() -> None:
    """R75."""
    assert BillingSettings().grace == timedelta(hours=1)
