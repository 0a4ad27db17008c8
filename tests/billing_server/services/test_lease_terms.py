"""Terms as agents are told them: anew when they change, under revisions that rise."""

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.services.acquire_leases import AcquireAnswer
from billing_server.services.lease_terms import tell_terms, watch_terms
from billing_server.services.limit_book import LimitBook
from billing_server.services.move_clock import advance_clock
from billing_server.services.override_price import override_price
from billing_server.services.sync_answer import SyncAnswer
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import money, units
from tests.billing_server.meters import Sender
from tests.billing_server.world import apply, make_context


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
            kept = watch_terms(unit, agent_ref=1, told=told, now=now)
        revisions.append(kept.revisions["acme"])
    assert revisions == sorted(set(revisions))


def test_a_change_is_told_by_a_server_whose_clock_is_behind_that_of_the_one_before(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    # The clock stands, and the other customer was told under a later revision in the same answer.
    assert len(agent.sync(customer_ids=("acme", "other")).customers) == 2
    world.limit(units("daily", 500))
    assert [each.customer_id for each in agent.sync().customers] == ["acme"]


def test_money_that_is_granted_comes_with_what_it_buys_where_others_moved_the_customer(
    store: SqlStore,
) -> None:
    # 1,000 tokens are included, then 0.01 each for 10,000, then 0.005; 2 for a peak of users.
    world = LeaseWorld(store, money("cap", "500"))
    mover, other, idle = (world.leasing() for _ in range(3))

    def first_price(answer: SyncAnswer | AcquireAnswer) -> list[str]:
        return [
            str(each.limits[0].prices[0].steps[0].unit_price)
            for each in answer.customers
            if each.limits[0].prices[0].price.key == "input"
        ]

    for agent in (mover, other, idle):
        assert first_price(agent.sync(want("cap", 10), customer_ids=("acme",))) == ["1/100"]
    assert first_price(other.acquire(world.key("cap"), amount=1_000)) == []
    mover.push(event("e1", quantities={"input_tokens": "12000"}))
    assert first_price(other.acquire(world.key("cap"), amount=1_000)) == ["1/200"]
    assert first_price(other.acquire(world.key("cap"), amount=1_000)) == []
    # Granted in a sync: told with it. The agent that holds its lease still is rung, and looks.
    assert first_price(mover.sync(want("cap", 900))) == ["1/200"]
    assert first_price(idle.look(want("cap", 10))) == []
    assert first_price(idle.look(want("cap", 10), rung=["acme"])) == ["1/200"]


def test_money_is_priced_anew_when_a_billing_period_ends_that_is_no_window_of_its_limit(
    store: SqlStore,
) -> None:
    # 1,000 tokens are included, then 0.01 each for 10,000, then 0.005: in each month anew.
    world = LeaseWorld(store, money("cap", "500", unit=WindowUnit.LIFETIME))
    agent = world.leasing()
    agent.push(event("e1", quantities={"input_tokens": "12000"}))
    (told,) = agent.sync(customer_ids=("acme",)).customers
    assert [str(step.unit_price) for step in told.limits[0].prices[0].steps] == ["1/200"]
    assert told.valid_until == parse_instant("2026-04-01T00:00:00Z")
    world.clock.advance(parse_instant("2026-04-01T00:00:00Z") - world.clock.now())
    (told,) = agent.sync().customers
    found = [
        (str(step.from_quantity), str(step.unit_price)) for step in told.limits[0].prices[0].steps
    ]
    assert found == [("0", "1/100"), ("10000", "1/200")]


def test_what_a_silent_agent_may_buy_is_looked_past_although_it_was_freed(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store, start="2026-01-17T00:00:00Z")
    apply(context, RECLAIMING)

    def steps() -> list[tuple[str, str]]:
        with memory_store.read() as unit:
            found = tell_terms(
                unit, book=LimitBook(), customer_ids=["acme"], now=context.clock.now()
            )
        (limit,) = found["acme"].limits
        return [(str(step.from_quantity), str(step.unit_price)) for step in limit.prices[0].steps]

    assert steps() == [("0", "1/100"), ("100", "1/50")]
    with memory_store.write() as unit:
        found = tell_terms(unit, book=LimitBook(), customer_ids=["acme"], now=context.clock.now())
        (limit,) = found["acme"].limits
        reclaimed = Lease(
            lease_id=bytes(16),
            key=WindowKey("acme", "cap", limit.span.window_id),
            agent_ref=1,
            granted=400_000,
            state=LeaseState.RECLAIMED,
            create_time=context.clock.now(),
        )
        unit.leases.put([reclaimed])
    # 0.40 buy 40 tokens.
    assert steps() == [("0", "1/100"), ("60", "1/50")]


RECLAIMING = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices:
      - {key: tokens, kind: usage, meter: tokens, model: graduated,
         tiers: [{up_to: "100", unit_price: "0.01"}, {unit_price: "0.02"}]}
    limits: [{key: cap, amount: "100", window: billing_period, unconfirmed: reclaim,
              reclaim_max: "1"}]
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: pro, start: 2026-01-17T00:00:00Z}]
"""
PRICED = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    anchor: calendar
    prices:
      - {key: tokens, kind: usage, meter: tokens, included: "310", group_by: [project],
         model: graduated, tiers: [{up_to: "100", unit_price: "0.01"}, {unit_price: "0.02"}]}
    limits: [{key: cap, amount: "100", window: billing_period}]
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: pro, start: 2026-01-17T00:00:00Z}]
"""


def test_r17_money_is_estimated_by_the_prices_and_the_segment_of_now(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store, start="2026-01-17T00:00:00Z")
    apply(context, PRICED)

    def steps() -> list[tuple[str, str]]:
        with memory_store.read() as unit:
            found = tell_terms(
                unit, book=LimitBook(), customer_ids=["acme"], now=context.clock.now()
            )
        (bound,) = found["acme"].limits[0].prices
        return [(str(step.from_quantity), str(step.unit_price)) for step in bound.steps]

    sender = Sender(context)
    sender.send({"tokens": "170"}, at="2026-01-17T00:00:30Z", project="a")
    # 15 of 31 days: 150 are included and 170 used, counted once though they have a group.
    assert steps() == [("0", "1/100"), ("80", "1/50")]
    advance_clock(context, to=parse_instant("2026-01-27T00:00:00Z"))
    override_price(
        context,
        subscription_id="sub-1",
        price="tokens",
        fields={"model": "per_unit", "unit_price": "0.50", "included": "0"},
    )
    # A segment of its own begins: nothing is used in it.
    assert steps() == [("0", "1/2")]
