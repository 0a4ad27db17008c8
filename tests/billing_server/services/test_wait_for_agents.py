"""R75: a period waits for the agents that carried its usage, and not for ever."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing_server.services.context import ServiceContext
from billing_server.services.run_due_work import run_due_work
from billing_server.store.agent_repository import SqlAgentRepository
from billing_server.store.unit_of_work import SqlStore
from metering.clock import Clock, ManualClock, parse_instant
from tests.billing_server.world import CATALOG, apply, make_context

END = parse_instant("2026-02-28T10:00:00Z")
"""Of the first period of sub-1."""
GRACE = timedelta(hours=1)


class Wall(Clock):
    """Real time, as far as the server can tell: not a clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


class World:
    """A server on real time with an agent that has carried the customer's usage."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        made = make_context(store)
        apply(made, CATALOG)
        self.clock = Wall(END + GRACE)
        self.context: ServiceContext = replace(made, clock=self.clock)
        run_due_work(replace(made, clock=Wall(made.clock.now())))
        with store.write() as unit:
            agent = unit.agents.enroll(
                agent_id="agt_1", name="host-1", token_sha256="t", create_time=END
            )
            unit.agents.note_carried(agent.ref, customer_ids=["acme"], carry_time=END)

    def report(self, *, at: datetime, oldest: datetime | None) -> None:
        with self.store.write() as unit:
            unit.agents.advance(
                "agt_1", applied_seq=1, oldest_unshipped_event_time=oldest, last_seen=at
            )

    def closed_count(self, at: datetime) -> int:
        self.clock.instant = at
        return run_due_work(self.context).done_count


@pytest.fixture
def world(store: SqlStore) -> World:
    return World(store)


def test_r75_a_period_waits_while_an_agent_holds_older_usage(world: World) -> None:
    world.report(at=END + GRACE, oldest=END - timedelta(seconds=1))
    assert world.closed_count(END + GRACE) == 0
    world.report(at=END + GRACE, oldest=END)
    assert world.closed_count(END + GRACE) == 1


def test_r75_an_agent_that_was_not_heard_since_the_end_may_hold_usage(world: World) -> None:
    world.report(at=END - timedelta(minutes=1), oldest=None)
    assert world.closed_count(END + GRACE) == 0
    world.report(at=END, oldest=None)
    assert world.closed_count(END + GRACE) == 1


def test_r75_an_agent_that_was_silent_for_a_day_is_not_waited_for(world: World) -> None:
    world.report(at=END - timedelta(minutes=1), oldest=END - timedelta(hours=1))
    assert world.closed_count(END + timedelta(hours=23)) == 0
    assert world.closed_count(END + timedelta(hours=24)) == 1


def test_r75_after_72_hours_the_invoice_is_made_with_a_notice(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    almost = END + timedelta(hours=72) - timedelta(seconds=1)
    world.report(at=almost, oldest=END - timedelta(hours=1))
    assert world.closed_count(almost) == 0
    assert world.closed_count(END + timedelta(hours=72)) == 1
    told = capsys.readouterr().out
    assert "period_closed_without_agents" in told
    assert "host-1" in told


def test_r75_agents_of_other_customers_and_revoked_ones_are_not_waited_for(world: World) -> None:
    world.report(at=END + GRACE, oldest=END - timedelta(hours=1))
    with world.store.write() as unit:
        unit.connection.exec_driver_sql("UPDATE agent SET revoke_time = 1")
    assert world.closed_count(END + GRACE) == 1


def test_one_customer_that_waits_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing_server.services.run_due_work.BATCH", 1)
    world.report(at=END + GRACE, oldest=END - timedelta(hours=1))
    for name in ("aaa", "zen"):  # One is due before the customer that waits, one after.
        text = CATALOG.replace("id: acme, name: Acme", f"id: {name}, name: {name}")
        apply(
            world.context,
            text.replace("id: sub-1, customer: acme", f"id: {name}, customer: {name}"),
        )
    world.closed_count(END + GRACE)
    with world.store.read() as unit:
        waiting = unit.billing_periods.due(ended_until=END, after=None, limit=10)
    assert [each.customer_id for each in waiting] == ["acme"]


def test_on_a_test_clock_only_what_agents_say_they_hold_is_waited_for(store: SqlStore) -> None:
    world = World(store)
    context = replace(world.context, clock=ManualClock(END + GRACE))
    world.report(at=END - timedelta(hours=2), oldest=END - timedelta(hours=3))
    assert run_due_work(context).done_count == 0
    world.report(at=END - timedelta(hours=2), oldest=None)
    assert run_due_work(context).done_count == 1


def test_customers_whose_periods_end_together_are_asked_for_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(
        world.context,
        "customers: [{id: beta}, {id: gamma}]\n"
        "subscriptions:\n"
        "  - {id: sub-b, customer: beta, plan: pro, start: 2026-01-31T10:00:00Z}\n"
        "  - {id: sub-c, customer: gamma, plan: pro, start: 2026-01-31T10:00:00Z}\n",
    )
    world.report(at=END + GRACE, oldest=END - timedelta(seconds=1))
    with world.store.write() as unit:
        (agent,) = unit.agents.page(after=None, limit=9)
        unit.agents.note_carried(agent.ref, customer_ids=["beta"], carry_time=END)
    asked: list[set[str]] = []
    held_back = SqlAgentRepository.customers_held_back

    def noted(agents: Any, customer_ids: Any, **lag: Any) -> Any:
        asked.append(set(customer_ids))
        return held_back(agents, customer_ids, **lag)

    monkeypatch.setattr(SqlAgentRepository, "customers_held_back", noted)
    # Gamma's usage was carried by nobody who lags.
    assert world.closed_count(END + GRACE) == 1
    assert asked[0] == {"acme", "beta", "gamma"}
    world.report(at=END + GRACE, oldest=None)
    assert world.closed_count(END + GRACE) == 2
