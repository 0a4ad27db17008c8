"""Every order of steps and faults of small shipping worlds, over the real functions of both sides.

A breadth-first search visits each reachable state once and checks in each of them:

- an event is never counted twice;
- a row is deleted only where it was applied, and, where the server calls safe what its backup
  holds, only where the backup holds it;
- an accepted event of which a copy is left anywhere is counted or still on a disk;
- an agent gives up its identity only after a rollback, a copy or a restore.

Afterwards it checks that from every state, if nothing goes wrong any more, the world comes to rest
with everything shipped and counted: no hole and no livelock.
"""

from dataclasses import replace
from typing import Any

import pytest

from meter_agent.core import positions as core
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer
from tests.simulation.search import Violation, search_all
from tests.simulation.shipping_faults import faults
from tests.simulation.shipping_world import Agent, Faults, Rules, World, first_world, steps


def search(start: World, rules: Rules) -> int:
    return search_all(
        start,
        steps=lambda world: steps(world, rules),
        faults=lambda world: faults(world, rules),
        problem_of=lambda world: problem_of(world, rules),
        is_at_rest=is_at_rest,
    )


def problem_of(world: World, rules: Rules) -> str:
    if world.violation:
        return world.violation
    if world.server.is_doubled:
        return "an event was counted twice"
    on_disk = {name for agent in world.agents for name in agent.disk.rows}
    if not world.accepted <= world.server.counted | on_disk | world.excused:
        return "an event is gone"
    return "" if rules.safe_is_backup else _unproved_ack(world)


def _unproved_ack(world: World) -> str:
    """Looks for a row that is marked as applied and is not counted, where no restore excuses it."""
    if world.backups:
        return ""
    for agent in world.agents:
        state = agent.disk.positions
        marked = agent.disk.rows[: state.applied_seq + 1 - state.earliest_kept_seq]
        if not world.server.counted >= set(marked):
            return "a row is marked as applied that is not counted"
    return ""


def is_at_rest(world: World) -> bool:
    is_idle = not world.network and not world.events_left
    for agent in world.agents:
        is_idle &= agent.call is None and agent.disk.positions.buffered_count == 0
    return is_idle and world.server.counted >= world.accepted - world.excused


# Named by what goes wrong in them; each is searched to its end.
WORLDS = {
    "crashes and lost, late and doubled messages": (
        Faults(crash=1, give_up=1, drop=1, double=1),
        2,
    ),
    "lost answers": (Faults(give_up=2), 4),
    "a disk that goes back": (Faults(rollback=1, give_up=1), 3),
    "a disk that goes back twice": (Faults(rollback=2), 2),
    "two live copies": (Faults(clone=1), 2),
    "two live copies and a retry at the other": (Faults(clone=1, retry_elsewhere=1), 1),
    "a lost disk": (Faults(lose_disk=1, give_up=1), 3),
    "a restored server": (Faults(backup=1, restore_noticed=1, give_up=1), 3),
    "a server restored unnoticed": (Faults(backup=1, restore_unnoticed=1, give_up=1), 3),
    "a server restored twice": (Faults(backup=2, restore_noticed=1, restore_unnoticed=1), 3),
    "a restored server and a disk that goes back": (
        Faults(backup=1, restore_noticed=1, rollback=1),
        2,
    ),
}
LARGER_WORLDS = {
    "crashes and lost, late and doubled messages": (
        Faults(crash=1, give_up=2, drop=1, double=1),
        3,
    ),
    "a disk that goes back": (Faults(rollback=1, give_up=1, double=1), 3),
    "two live copies and a retry at the other": (Faults(clone=1, retry_elsewhere=1), 2),
    "two live copies, one of which goes back": (Faults(clone=1, rollback=1), 1),
    "two live copies and a lost answer": (Faults(clone=1, give_up=1), 1),
    "a restored server and two live copies": (Faults(backup=1, restore_noticed=1, clone=1), 1),
    "a server restored unnoticed and two live copies": (
        Faults(backup=1, restore_unnoticed=1, clone=1),
        1,
    ),
}
# The server may call safe what its backup holds only where no disk goes back or is copied: a
# position then names one event alone.
BACKUP_IS_SAFE = (
    "crashes and lost, late and doubled messages",
    "a restored server",
    "a server restored unnoticed",
    "a server restored twice",
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WORLDS)
def test_every_order_of_faults_counts_each_event_once(name: str) -> None:
    limits, events = WORLDS[name]
    assert search(first_world(limits, events=events), Rules()) > 100


@pytest.mark.parametrize("name", BACKUP_IS_SAFE)
def test_rows_outlive_every_restore_where_only_what_is_in_the_backup_is_safe(name: str) -> None:
    limits, events = WORLDS[name]
    limits = limits._replace(backup=limits.backup or 1)
    assert search(first_world(limits, events=events), Rules(safe_is_backup=True)) > 100


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", LARGER_WORLDS)
def test_larger_worlds_hold_the_same_promises(name: str) -> None:
    limits, events = LARGER_WORLDS[name]
    assert search(first_world(limits, events=events), Rules()) > 10_000


def a_lost_ack_is_taken_for_a_rollback(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    shorter = replace(state, next_seq=state.applied_seq + 1)
    if answer.applied_seq - state.seq_offset <= state.applied_seq:
        shorter = state
    after = core.session_opened(shorter, answer, **fields)
    return replace(after, next_seq=state.next_seq)


def the_server_position_is_taken_as_proof(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    after = core.session_opened(state, answer, **fields)
    proved = min(answer.applied_seq - after.seq_offset, after.next_seq - 1)
    return replace(after, applied_seq=max(after.applied_seq, proved))


def the_safe_position_survives_a_restore(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    after = core.session_opened(state, answer, **fields)
    return replace(after, safe_seq=max(after.safe_seq, state.safe_seq))


def the_safe_position_survives_a_push(state: Positions, **fields: Any) -> Positions:
    after = core.push_answered(state, **fields)
    return replace(after, safe_seq=max(after.safe_seq, state.safe_seq))


def a_new_incarnation_is_overlooked(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    return core.session_opened(replace(state, server_incarnation=""), answer, **fields)


def rows_go_when_they_are_sent(agent: Agent) -> int:
    sent = getattr(agent.call, "sent", None)
    return agent.disk.positions.deletable_seq if sent is None else sent.last_seq


def a_hole_is_skipped(state: Positions, *, sent: PushSent, answer: PushAnswer) -> Positions:
    if answer.outcome is PushOutcome.GAP:
        answer = replace(answer, outcome=PushOutcome.APPLIED)
    return core.push_answered(state, sent=sent, answer=answer)


MUTANTS = {
    "an already known position is acked without looking at its events": (
        Rules(looks_at_known=False),
        "a disk that goes back",
    ),
    "the id is marked outside the counting transaction": (
        Rules(marks_apart=True),
        "crashes and lost, late and doubled messages",
    ),
    "rows are deleted before the ack": (
        Rules(deletable_seq=rows_go_when_they_are_sent),
        "lost answers",
    ),
    "a lost ack is taken for a rollback": (
        Rules(session_opened=a_lost_ack_is_taken_for_a_rollback),
        "crashes and lost, late and doubled messages",
    ),
    "the server's position is taken as proof": (
        Rules(session_opened=the_server_position_is_taken_as_proof),
        "a disk that goes back",
    ),
    "a stale safe position is used after a restore": (
        Rules(
            session_opened=the_safe_position_survives_a_restore,
            push_answered=the_safe_position_survives_a_push,
            safe_is_backup=True,
        ),
        "a server restored twice",
    ),
    "a new incarnation is overlooked": (
        Rules(session_opened=a_new_incarnation_is_overlooked),
        "a restored server and a disk that goes back",
    ),
    "a hole is skipped": (
        Rules(push_answered=a_hole_is_skipped),
        "a server restored unnoticed",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(name: str) -> None:
    rules, world_name = MUTANTS[name]
    limits, events = WORLDS[world_name]
    with pytest.raises(Violation):
        search(first_world(limits, events=events), rules)
