"""Limits follow corrections of usage, in the transaction that makes them. On both databases."""

from billing_server.services.correct_usage import AdjustmentRequest, adjust_usage, void_usage
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import event
from tests.billing_server.limit_world import LimitWorld, money, units
from tests.billing_server.world import context_of


def test_a_voided_event_no_longer_counts_against_its_limits(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 200), money("cap", "50"))
    heard: list[str] = []
    world.agent().push(event("e1", quantities={"input_tokens": "1100"}), event("e2"))
    assert world.account("daily").settled == 1_200
    assert world.account("cap").settled == 2_000_000
    store.news.listen(heard.append)
    void_usage(context_of(world), event_id="e1", reason="load test")
    assert world.account("daily").settled == 100
    assert world.account("cap").settled == 0
    with store.read() as unit:
        told = unit.limits.threshold_events(customer_id="acme", after=0, limit=99)
    assert [str(each.direction) for each in told] == ["rising", "rising", "falling", "falling"]


def test_an_adjustment_counts_against_the_window_that_runs(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    context = context_of(world)
    world.agent().push(event("e1"))
    request = AdjustmentRequest(
        customer_id="acme", meter_key="input_tokens", quantity="40", reason="by hand"
    )
    adjust_usage(context, request=request)
    assert world.account("daily").settled == 140
