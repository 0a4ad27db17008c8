"""Terms as agents are told them: anew when they change, under revisions that rise."""

from billing_server.services.lease_terms import tell_terms, watch_terms
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import money, units


def test_terms_are_told_anew_only_when_they_change(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000), money("cap", "5"))
    agent = world.leasing()
    first = agent.sync(want("daily", 1), customer_ids=("acme",))
    agent.use("e1", tokens=5, lease_id=first.leases[0].lease.lease_id)
    assert agent.sync(want("daily", 1), customer_ids=("acme",)).customers == ()
    world.limit(units("daily", 2_000), money("cap", "5"))
    (again,) = agent.sync(want("daily", 1)).customers
    assert again.terms_revision > first.customers[0].terms_revision
    # A change that makes no difference to the agent is not told.
    with store.write() as unit:
        unit.customers.advance_revision("acme")
        unit.catalog.advance_revision()
    assert agent.sync(want("daily", 1)).customers == ()


def test_a_customer_that_is_made_later_is_told_to_those_that_asked(store: SqlStore) -> None:
    world = LeaseWorld(store)
    agent = world.leasing()
    (unknown,) = agent.sync(customer_ids=("new",)).customers
    assert unknown.is_unknown
    world.add_customer("new")
    (known,) = agent.sync().customers
    assert (known.is_unknown, known.limits) == (False, ())


def test_what_remains_is_told_as_advice_and_makes_no_news(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    now = world.clock.now()
    with store.write() as unit:
        before = tell_terms(unit, book=world.desk.book, customer_ids=["acme"], now=now)["acme"]
    world.leasing().acquire(world.key("daily"), amount=1_000)
    with store.write() as unit:
        after = tell_terms(unit, book=world.desk.book, customer_ids=["acme"], now=now)["acme"]
    assert (before.limits[0].remaining, after.limits[0].remaining) == (1_000, 0)
    assert before.digest == after.digest
    assert after.limits[0].is_tail


def test_a_revision_is_later_than_the_one_before_even_where_the_clock_stands(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    now = world.clock.now()
    revisions = []
    for most in (1_000, 2_000, 3_000):
        world.limit(units("daily", most))
        with store.write() as unit:
            told = tell_terms(unit, book=world.desk.book, customer_ids=["acme"], now=now)
            (watch,) = watch_terms(unit, agent_ref=1, told=told, now=now)
        revisions.append(watch.terms_revision)
    assert revisions == sorted(set(revisions))
