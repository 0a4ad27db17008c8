"""Every order of steps and faults of small lease worlds, over the real functions of both sides.

In each state that can be reached:

- actual use of a window stays within `B + U_max + δ + F + V + W` and what the assumptions add: what
  a disk that went back or a live copy held, what a restored server granted after its backup;
- what the server has settled for a window is what its counted events say, each once;
- what leases hold is what open reservations hold, so every hold ends once.

From every state, if nothing goes wrong any more, the world comes to rest with every event counted,
no hold open, and no budget lost: what is not used is free at an agent, or may be granted, or is
still held for a disk that never came back.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from billing_server.domain.limit.escrow import Escrow, escrow_of
from billing_server.domain.limit.lease import Lease as ServerLease
from billing_server.domain.limit.lease import LeaseReport, LeaseState, reported
from meter_agent.core.quota import sync as syncing
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import EndCase, Reservation
from meter_agent.core.quota.sync import LeaseNews
from metering.errors import InvariantError
from tests.simulation.lease_calls import reserve
from tests.simulation.lease_faults import faults, holds_of
from tests.simulation.lease_steps import steps
from tests.simulation.lease_world import Faults, Rules, World, escrow, first_world, left
from tests.simulation.search import Violation, search_all


def search(start: World, rules: Rules) -> int:
    return search_all(
        start,
        steps=lambda world: steps(world, rules),
        faults=lambda world: faults(world, rules),
        problem_of=problem_of,
        is_at_rest=lambda world: is_at_rest(world, rules),
    )


def problem_of(world: World) -> str:
    used, excused, highest = dict(world.used), dict(world.excused), dict(world.highest)
    names = {agent.name for agent in world.agents}
    for window, amount in used.items():
        bound = highest.get(window, 0) + world.unknown_max + excused.get(window, 0) + world.extra
        bound += world.allowance * len(names)
        if amount > bound:
            return f"{amount} were used of {window}, and at most {bound} may be"
    expected: dict[str, int] = {}
    rows = {row.name: row for agent in world.agents for row in agent.disk.rows}
    if world.server.ids <= rows.keys():  # Else a disk is lost that knew what was counted.
        for name in world.server.ids:
            for window, cost in rows[name].costs:
                expected[window] = expected.get(window, 0) + cost
        if not is_ambiguous(world) and expected != dict(world.server.settled):
            return f"settled {world.server.settled}, and the counted events say {expected}"
    for agent in world.agents:
        for lease in agent.disk.leases:
            if lease.held != holds_of(agent, lease):
                return f"a lease holds {lease.held}, its reservations {holds_of(agent, lease)}"
    return ""


def is_ambiguous(world: World) -> bool:
    """Whether two disks hold an event of one id with other content: the first to come counts."""
    rows: dict[str, Any] = {}
    for agent in world.agents:
        for row in agent.disk.rows:
            if rows.setdefault(row.name, row.costs) != row.costs:
                return True
    return world.snapshot is not None or world.is_settled_elsewhere


def is_at_rest(world: World, rules: Rules) -> bool:
    if world.network:
        return False
    # A call is refused for good only where nothing is left to grant.
    if world.calls_left and (left(world, rules) or any(can_reserve(world))):
        return False
    for agent in world.agents:
        disk = agent.disk
        is_idle = agent.call is None and disk.positions.session_no > 0
        if not is_idle or not all(
            row.is_acked and row.name in world.server.ids for row in disk.rows
        ):
            return False
        if any(found.holds for found in disk.reservations):
            return False
    return _is_nothing_lost(world, rules)


def can_reserve(world: World) -> list[bool]:
    return [any(True for _ in reserve(world, index)) for index in range(len(world.agents))]


def _is_nothing_lost(world: World, rules: Rules) -> bool:
    server = world.server
    own = {lease.lease_id: lease for agent in world.agents for lease in agent.disk.leases}
    for lease in server.leases:
        held = own.get(lease.lease_id)
        is_confirmed = held is not None and held.usable_until_us is None and not held.is_closed
        is_standing = lease.state is LeaseState.LIVE and is_confirmed
        if is_standing and held is not None and lease.rest != held.free:
            return False
    now = escrow(world, rules, server.window)
    free = now.left(maximum=server.limit, unknown_max=world.unknown_max)
    return bool(server.unheard) or free >= server.limit - now.taken - now.unknown


def after(world: World, *labels: str) -> World:
    """Returns the world after these steps and faults: a search that begins later is smaller."""
    for label in labels:
        moves = [*steps(world, Rules()), *faults(world, Rules())]
        world = next(each for name, each in moves if name == label)
    return world


# Named by what goes wrong in them; each is searched to its end.
WORLDS: dict[str, Callable[[], World]] = {
    "reservations that expire, are overrun, settled late and again": lambda: first_world(
        Faults(expire=1, overrun=1, lose_ack=1, crash=1), limit=2, calls=1, amounts=(1, 2)
    ),
    "crashes and lost messages": lambda: first_world(Faults(crash=1, give_up=1), limit=1, calls=1),
    "late and doubled messages": lambda: first_world(Faults(give_up=1, double=1), limit=1, calls=1),
    "two agents at the tail of a limit": lambda: first_world(
        Faults(recall=1), limit=1, calls=2, agents=2
    ),
    "idle leases that go back": lambda: first_world(
        Faults(return_idle=1, give_up=1), limit=1, calls=1
    ),
    "a settlement at another agent": lambda: first_world(
        Faults(elsewhere=1, expire=1), limit=1, calls=1, agents=2
    ),
    "usage without a reservation, and money rated higher than estimated": lambda: first_world(
        Faults(unreserved=1, overrated=1, lose_ack=1), limit=1, calls=1
    ),
    "a limit that is lowered and raised": lambda: first_world(
        Faults(lower=1, raise_=1, recall=1), limit=2, calls=1
    ),
    "a window that ends": lambda: first_world(Faults(next_window=1), limit=1, calls=2),
    "silence under a bound": lambda: first_world(
        Faults(silence=1, lose_ack=1), limit=1, calls=2, unknown_max=1
    ),
    "a lost agent, written off and released": lambda: first_world(
        Faults(write_off=1, release=1), limit=1, calls=2
    ),
    "an allowance without the server": lambda: first_world(
        Faults(crash=1), limit=1, calls=2, allowance=1
    ),
    "a lost disk": lambda: first_world(Faults(lose_disk=1, write_off=1), limit=1, calls=2),
    "a disk that goes back": lambda: first_world(Faults(rollback=1), limit=1, calls=1),
    "two live copies": lambda: first_world(Faults(clone=1), limit=1, calls=1),
    "a restored server": lambda: first_world(
        Faults(backup=1, restore_noticed=1, end_quarantine=1), limit=1, calls=2
    ),
    "a restored server and another agent": lambda: after(
        first_world(Faults(backup=1, restore_noticed=1), limit=1, calls=2, agents=2),
        "open at 0",
        "open at 1",
        "backup",
        "sync at 0",
        "restore",
    ),
    "a server restored unnoticed": lambda: first_world(
        Faults(backup=1, restore_unnoticed=1), limit=1, calls=2
    ),
}


# Searched by the long run alone, for their size; mutants of theirs are caught early.
LARGER = {
    "crashes and lost messages",
    "a window that ends",
    "silence under a bound",
    "a lost agent, written off and released",
    "a restored server",
    "a lost disk",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LARGER)) for name in WORLDS],
)
def test_every_order_of_faults_keeps_the_limit_and_ends_every_hold_once(name: str) -> None:
    assert search(WORLDS[name](), Rules()) > 100


def silence_frees_a_lease_outside_of_the_bound(lease: ServerLease) -> ServerLease:
    return replace(lease, state=LeaseState.CLOSED)


def a_recall_counts_as_returned_when_it_is_asked(lease: ServerLease) -> ServerLease:
    return replace(lease, recall_no=lease.recall_no + 1, returned=lease.granted - lease.settled)


def what_is_held_counts_as_returned(
    lease: ServerLease, *, report: LeaseReport, now: Any
) -> ServerLease:
    told = replace(report, returned=report.granted - report.consumed)
    return reported(lease, report=told, now=now)


def a_restored_server_trusts_its_own_counters(
    lease: ServerLease, *, report: LeaseReport, now: Any
) -> ServerLease:
    return reported(lease, report=replace(report, granted=0), now=now)


def a_reservation_is_settled_as_often_as_it_is_asked(
    _found: Reservation, **_fields: Any
) -> EndCase:
    return EndCase.IN_TIME


def a_lease_is_forgotten_once_it_is_used_up(lease: Lease, **_fields: Any) -> bool:
    return lease.held == 0 and lease.free == 0 and lease.consumed > 0


def only_settled_use_is_looked_at(settled: int, **_fields: Any) -> Escrow:
    return Escrow(settled)


def lost_agents_give_their_budget_back(lease: ServerLease) -> ServerLease:
    return replace(lease, state=LeaseState.CLOSED)


def presumed_use_is_not_escrowed(settled: int, *, leases: Any) -> Escrow:
    return replace(escrow_of(settled, leases=leases), presumed=0)


def a_grant_is_added_to_what_is_on_record(
    lease: Lease | None, *, news: LeaseNews, **fields: Any
) -> Lease:
    known = 0 if lease is None else lease.granted
    return syncing.with_news(lease, news=replace(news, granted=news.granted + known), **fields)


def a_recall_is_answered_and_the_lease_kept(
    lease: Lease | None, *, news: LeaseNews, **fields: Any
) -> Lease:
    kept = syncing.with_news(lease, news=replace(news, recall_no=0), **fields)
    return replace(kept, recall_no=max(kept.recall_no, news.recall_no))


def an_answered_recall_counts_as_returned(
    lease: ServerLease, *, report: LeaseReport, now: Any
) -> ServerLease:
    told = report
    if report.recall_no:
        told = replace(report, returned=report.granted - report.consumed - report.held)
    return reported(lease, report=told, now=now)


def small(**faults_: int) -> Callable[[], World]:
    return lambda: first_world(Faults(**faults_), limit=1, calls=2, agents=1)


MUTANTS: dict[str, tuple[Rules, Callable[[], World]]] = {
    "a time-out gives money back without U_max": (
        Rules(silenced=silence_frees_a_lease_outside_of_the_bound),
        small(silence=1),
    ),
    "a recall counts as returned when it is asked": (
        Rules(recall=a_recall_counts_as_returned_when_it_is_asked),
        WORLDS["two agents at the tail of a limit"],
    ),
    "a recalled lease is spent": (
        Rules(
            with_news=a_recall_is_answered_and_the_lease_kept,
            reported=an_answered_recall_counts_as_returned,
        ),
        WORLDS["two agents at the tail of a limit"],
    ),
    "what is held counts as returned": (
        Rules(reported=what_is_held_counts_as_returned),
        WORLDS["two agents at the tail of a limit"],
    ),
    "a reservation is settled twice": (
        Rules(case_of_ending=a_reservation_is_settled_as_often_as_it_is_asked),
        WORLDS["reservations that expire, are overrun, settled late and again"],
    ),
    "a hold goes back before t_late": (
        Rules(gives_back_at_expiry=True),
        WORLDS["reservations that expire, are overrun, settled late and again"],
    ),
    "an event is settled with every delivery": (
        Rules(looks_at_ids=False),
        WORLDS["reservations that expire, are overrun, settled late and again"],
    ),
    "windows are reset in place": (
        Rules(reset_in_place=True),
        WORLDS["a window that ends"],
    ),
    "a lease is forgotten before its events are safe": (
        Rules(may_forget=a_lease_is_forgotten_once_it_is_used_up, forgets_open_windows=True),
        WORLDS["a restored server"],
    ),
    "a restored server trusts its own counters": (
        Rules(reported=a_restored_server_trusts_its_own_counters),
        WORLDS["a restored server"],
    ),
    "a restored server grants at once": (
        Rules(waits_for_agents=False),
        WORLDS["a restored server and another agent"],
    ),
    "a lost agent gives its budget back": (
        Rules(written_off=lost_agents_give_their_budget_back),
        small(write_off=1),
    ),
    "presumed use is not escrowed": (
        Rules(escrow_of=presumed_use_is_not_escrowed),
        small(write_off=1),
    ),
    "a grant is decided by what is settled alone": (
        Rules(escrow_of=only_settled_use_is_looked_at),
        WORLDS["two agents at the tail of a limit"],
    ),
    "a grant is added each time it is told": (
        Rules(with_news=a_grant_is_added_to_what_is_on_record),
        small(recall=1),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(name: str) -> None:
    rules, start = MUTANTS[name]
    # A counter that would pass what was granted stops the agent before the search sees it.
    with pytest.raises((Violation, InvariantError)):
        search(start(), rules)
