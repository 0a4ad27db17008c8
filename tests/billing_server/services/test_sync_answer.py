"""What a sync is answered, and what is marked as told."""

from billing_server.services.sync_answer import Answering
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import rolling, units


def test_what_is_not_answered_is_not_marked_as_told(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    answer = agent.sync(want("daily", 10), answering=Answering.WITH_NEWS)
    (told,) = answer.leases
    assert world.lease_of(told.lease.lease_id).told_in == agent.sync_no
    assert not agent.sync(want("daily", 10), answering=Answering.WITH_NEWS).has_news


def test_a_lease_that_runs_out_is_no_news_and_is_renewed_with_the_next_answer(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, rolling("five", 10_000, hours=5))
    agent = world.leasing()
    agent.sync(want("five", 10))
    world.pass_time(seconds=10)
    assert not agent.sync(want("five", 10), answering=Answering.WITH_NEWS).has_news
    (renewed,) = agent.look(want("five", 10), answering=Answering.NOW).leases
    assert renewed.lease.expire_time is not None
    assert (renewed.lease.expire_time - world.clock.now()).total_seconds() == 62.06


def test_a_calm_sync_is_told_of_recalls_and_changed_limits_and_not_of_grants(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    assert not idle.sync(want("daily", 40), answering=Answering.CALMLY).has_news
    assert idle.look(answering=Answering.WITH_NEWS).leases[0].lease.granted == 500
    busy.acquire(world.key("daily"), amount=900)
    assert idle.look(answering=Answering.CALMLY).leases[0].lease.is_recalled
    assert not idle.sync(answering=Answering.CALMLY).has_news
    idle.sync(customer_ids=("acme",))
    world.limit(units("daily", 2_000))
    assert idle.look(answering=Answering.CALMLY).customers
