"""A small world of shipping: the real decisions of both sides over tiny models of disk and server.

Nothing here decides: what an agent makes of an answer comes from `meter_agent.core.positions`, what
the server makes of a call from `billing_server.domain.session`. This module only moves values, one
step at a time, so that a search can try every order of steps and faults.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from billing_server.domain.session.opening import (
    Opening,
    OpeningAction,
    Stream,
    advanced,
    decide_opening,
    opened_stream,
)
from billing_server.domain.session.pushing import PushState, decide_push
from meter_agent.core import positions as core
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer

PAGE_EVENTS_MAX = 2
OUTCOMES = {
    PushState.APPLIED: PushOutcome.APPLIED,
    PushState.FENCED: PushOutcome.FENCED,
    PushState.GAP: PushOutcome.GAP,
}


class Disk(NamedTuple):
    """What is durable at an agent."""

    positions: Positions
    rows: tuple[str, ...]  # Event ids, numbered from `earliest_kept_seq`.


class Push(NamedTuple):
    """A push on its way."""

    disk_id: bytes
    sent: PushSent
    events: tuple[str, ...]


class Agent(NamedTuple):
    """A running agent: its disk, the one call in flight, and what was answered to it."""

    disk: Disk
    call: Opening | Push | None = None
    answer: SessionAnswer | PushAnswer | None = None
    is_refused: bool = False


class Server(NamedTuple):
    """The server's database."""

    incarnation: str = "i0"
    streams: tuple[Stream, ...] = ()
    ids: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()
    is_doubled: bool = False

    def stream(self, disk_id: bytes) -> Stream | None:
        return next((each for each in self.streams if each.disk_id == disk_id), None)

    def with_stream(self, stream: Stream) -> "Server":
        others = tuple(each for each in self.streams if each.disk_id != stream.disk_id)
        both = sorted((*others, stream), key=lambda each: each.disk_id)
        return self._replace(streams=tuple(both))


class Faults(NamedTuple):
    """How often each thing may still go wrong."""

    crash: int = 0
    give_up: int = 0  # The answer is lost, or the request comes late.
    drop: int = 0
    double: int = 0
    rollback: int = 0
    clone: int = 0
    lose_disk: int = 0
    backup: int = 0
    restore_noticed: int = 0
    restore_unnoticed: int = 0
    retry_elsewhere: int = 0


class World(NamedTuple):
    """Everything, with what only an onlooker knows below the line."""

    agents: tuple[Agent, ...]
    server: Server
    faults: Faults
    events_left: int
    network: frozenset[Opening | Push] = frozenset()
    snapshot: Disk | None = None
    backups: tuple[Server, ...] = ()
    serial: int = 1  # Makes nonces, disk ids and incarnations that were never used.
    # --- known to the onlooker alone
    accepted: frozenset[str] = frozenset()
    excused: frozenset[str] = frozenset()  # No copy was left after a fault.
    may_change_identity: bool = False
    violation: str = ""


@dataclass(frozen=True)
class Rules:
    """The functions under test, each replaceable by a mutant."""

    session_opened: Callable[..., Positions] = core.session_opened
    push_answered: Callable[..., Positions] = core.push_answered
    deletable_seq: Callable[[Agent], int] = lambda agent: agent.disk.positions.deletable_seq
    looks_at_known: bool = True
    marks_apart: bool = False
    safe_is_backup: bool = False


def first_world(faults: Faults, *, events: int) -> World:
    disk = Disk(Positions(disk_id=b"d0"), ())
    return World((Agent(disk),), Server(), faults, events)


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yields every step that may come next where nothing goes wrong."""
    if world.events_left:
        name = f"e{world.events_left}"
        for index in range(len(world.agents)):
            after = record(world, index, name)._replace(events_left=world.events_left - 1)
            yield f"record {name} at {index}", after
    for index, agent in enumerate(world.agents):
        if agent.answer is not None or agent.is_refused:
            yield f"answer at {index}", _take_answer(world, index, rules)
        elif agent.call is None and (call := _next_call(world, agent)) is not None:
            yield f"send at {index}", _send(world, index, call)
        if agent.disk.positions.earliest_kept_seq <= rules.deletable_seq(agent):
            yield f"trim at {index}", _trim(world, index, rules)
    for message in world.network:
        rest = world.network - {message}
        yield "deliver", deliver(world._replace(network=rest), message, rules)


def record(world: World, index: int, name: str) -> World:
    disk = world.agents[index].disk
    positions = core.appended(disk.positions, event_count=1)
    world = with_disk(world, index, Disk(positions, (*disk.rows, name)))
    return world._replace(accepted=world.accepted | {name})


def _next_call(world: World, agent: Agent) -> Positions | Push | None:
    state = agent.disk.positions
    if state.session_no == 0:
        return core.session_attempted(state, fresh_nonce=b"n%d" % world.serial)
    first = state.applied_seq + 1
    skipped = first - state.earliest_kept_seq
    events = agent.disk.rows[skipped : skipped + PAGE_EVENTS_MAX]
    sent = PushSent(
        state.session_no,
        state.server_incarnation,
        first,
        first + len(events) - 1,
        state.seq_offset,
    )
    push = Push(state.disk_id, sent, events)
    stream = world.server.stream(state.disk_id)
    if (
        not events
        and stream is not None
        and _decide(world.server, stream, push)
        == (
            PushState.APPLIED,
            stream.applied_seq,
        )
    ):
        return None  # A sign of life that would change nothing.
    return push


def _send(world: World, index: int, call: Positions | Push) -> World:
    agent = world.agents[index]
    if isinstance(call, Push):
        agent = agent._replace(call=call)
        return with_agent(world, index, agent)._replace(network=world.network | {call})
    opening = Opening(
        disk_id=call.disk_id,
        nonce=call.nonce,
        sync_no=call.sync_no,
        applied_seq=call.applied_seq + call.seq_offset,
        earliest_kept_seq=call.earliest_kept_seq + call.seq_offset,
        incarnation=call.server_incarnation,
        previous_disk_id=call.previous_disk_id,
    )
    agent = Agent(agent.disk._replace(positions=call), opening)
    world = with_agent(world, index, agent)
    return world._replace(network=world.network | {opening}, serial=world.serial + 1)


def deliver(world: World, message: Opening | Push, rules: Rules) -> World:
    if isinstance(message, Push):
        world, answer = _server_push(world, message, rules)
    else:
        world, answer = _server_open(world, message, rules)
    # Copies may have one attempt in flight between them: then one answer is both answers.
    for index, agent in enumerate(world.agents):
        if agent.call == message and agent.answer is None and not agent.is_refused:
            answered = agent._replace(answer=answer, is_refused=answer is None)
            world = with_agent(world, index, answered)
    return world


def _server_open(
    world: World, opening: Opening, rules: Rules
) -> tuple[World, SessionAnswer | None]:
    server = world.server
    stream = server.stream(opening.disk_id)
    decision = decide_opening(
        opening,
        incarnation=server.incarnation,
        stream=stream,
        previous=server.stream(opening.previous_disk_id),
    )
    if decision.action is OpeningAction.TAKEN:
        return world, None
    session_no = 0 if stream is None else stream.session_no
    session_no += decision.action is not OpeningAction.REPEAT
    stream = opened_stream(opening, decision=decision, session_no=session_no)
    server = server.with_stream(stream)
    if decision.is_server_behind:
        server = server._replace(incarnation=f"i{world.serial}")
        world = world._replace(serial=world.serial + 1)
    world = world._replace(server=server)
    safe_seq = _safe_seq(world, stream, rules)
    return world, SessionAnswer("a", session_no, server.incarnation, stream.applied_seq, safe_seq)


def _decide(server: Server, stream: Stream | None, push: Push) -> tuple[PushState, int]:
    decision = decide_push(
        server=(server.incarnation, 0 if stream is None else stream.session_no),
        named=(push.sent.server_incarnation, push.sent.session_no),
        applied_seq=0 if stream is None else stream.applied_seq,
        first_seq=push.sent.first_seq + push.sent.seq_offset,
        event_count=len(push.events),
    )
    return decision.state, decision.applied_seq


def _server_push(world: World, push: Push, rules: Rules) -> tuple[World, PushAnswer]:
    server = world.server
    stream = server.stream(push.disk_id)
    state, applied_seq = _decide(server, stream, push)
    if state is PushState.APPLIED and stream is not None:
        events = push.events
        if not rules.looks_at_known:
            first_seq = push.sent.first_seq + push.sent.seq_offset
            events = events[max(0, stream.applied_seq + 1 - first_seq) :]
        server = count(server, events).with_stream(advanced(stream, applied_seq=applied_seq))
        stream = server.stream(push.disk_id)
        world = world._replace(server=server)
    safe_seq = 0 if stream is None else _safe_seq(world, stream, rules)
    return world, PushAnswer(OUTCOMES[state], server.incarnation, applied_seq, safe_seq)


def count(server: Server, events: tuple[str, ...]) -> Server:
    """Inserts ids and counts what was new, together: the transaction."""
    new = frozenset(events) - server.ids
    return server._replace(
        ids=server.ids | new,
        counted=server.counted | new,
        is_doubled=server.is_doubled or bool(new & server.counted),
    )


def _safe_seq(world: World, stream: Stream, rules: Rules) -> int:
    if not rules.safe_is_backup:
        return stream.applied_seq
    kept = world.backups[-1].stream(stream.disk_id) if world.backups else None
    return 0 if kept is None else kept.applied_seq


def _take_answer(world: World, index: int, rules: Rules) -> World:
    agent = world.agents[index]
    before, call, answer = agent.disk.positions, agent.call, agent.answer
    fresh_disk_id = b"d%d" % world.serial
    if isinstance(call, Push):
        assert isinstance(answer, PushAnswer)
        after = rules.push_answered(before, sent=call.sent, answer=answer)
    else:
        assert call is not None
        if answer is None:
            after = core.identity_taken(
                before, attempt_nonce=call.nonce, fresh_disk_id=fresh_disk_id
            )
        else:
            after = rules.session_opened(
                before, answer, attempt_nonce=call.nonce, fresh_disk_id=fresh_disk_id
            )
        world = world._replace(serial=world.serial + 1)
    world = with_agent(world, index, Agent(agent.disk._replace(positions=after)))
    if after.disk_id != before.disk_id and not world.may_change_identity:
        world = world._replace(violation="an identity was given up without need")
    return world


def _trim(world: World, index: int, rules: Rules) -> World:
    agent = world.agents[index]
    seq = min(rules.deletable_seq(agent), agent.disk.positions.next_seq - 1)
    gone_count = seq + 1 - agent.disk.positions.earliest_kept_seq
    gone, rows = agent.disk.rows[:gone_count], agent.disk.rows[gone_count:]
    positions = core.deleted(agent.disk.positions, earliest_kept_seq=seq + 1)
    world = with_disk(world, index, Disk(positions, rows))
    stream = world.server.stream(positions.disk_id)
    known_seq = 0 if stream is None else stream.applied_seq
    # What an agent does before it can know of a restore is outside of any promise.
    is_aware = positions.server_incarnation == world.server.incarnation
    is_aware &= positions.applied_seq + positions.seq_offset <= known_seq
    if not is_aware:
        return excuse(world)
    if not world.server.counted >= set(gone):
        return world._replace(violation="a row was deleted that was not applied")
    if rules.safe_is_backup and not (world.backups and world.backups[-1].counted >= set(gone)):
        return world._replace(violation="a row was deleted that no backup holds")
    return world


def excuse(world: World) -> World:
    """Notes the events of which a fault has left no copy."""
    kept = {name for agent in world.agents for name in agent.disk.rows}
    lost = world.accepted - world.server.counted - kept
    return world._replace(excused=world.excused | lost)


def with_agent(world: World, index: int, agent: Agent) -> World:
    agents = (*world.agents[:index], agent, *world.agents[index + 1 :])
    return world._replace(agents=agents)


def with_disk(world: World, index: int, disk: Disk) -> World:
    return with_agent(world, index, world.agents[index]._replace(disk=disk))
