"""What an agent of the small world does next where nothing goes wrong, by the real decisions."""

from collections.abc import Iterator
from dataclasses import replace

from billing_server.domain.limit.lease import Lease as ServerLease
from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.session.opening import Opening, advanced
from meter_agent.core import positions as core
from meter_agent.core.positions import Positions
from meter_agent.core.quota import sync as syncing
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.lease import expired as lease_expired
from meter_agent.core.quota.sync import SyncOutcome
from tests.simulation.lease_calls import (
    dropped,
    endings,
    put_leases,
    reservation_of,
    reserve,
)
from tests.simulation.lease_server import count, deliver
from tests.simulation.lease_world import (
    CUSTOMER,
    GRANT_MAX,
    LIMIT,
    Acquire,
    Agent,
    Answer,
    Disk,
    Open,
    Rules,
    Sync,
    World,
    hear_reports,
    left,
    own_allowance,
    report_of,
    with_agent,
    with_disk,
    with_stream,
)

OUTCOMES = {
    "accepted": SyncOutcome.DONE,
    "fenced": SyncOutcome.FENCED,
    "identity_taken": SyncOutcome.IDENTITY_TAKEN,
}


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yields every step that may come next where nothing goes wrong."""
    for index, agent in enumerate(world.agents):
        if agent.answer is not None:
            yield f"answer at {index}", _take_answer(world, index, rules)
        elif agent.call is None:
            yield from _calls(world, index, rules)
        yield from reserve(world, index)
        for each in agent.disk.reservations:
            yield from endings(world, index, each, rules)
        yield from _housekeeping(world, index, rules)
        yield from _ship(world, index, rules)
    for message in sorted(world.network, key=repr):
        rest = world._replace(network=world.network - {message})
        yield "deliver", deliver(rest, message, rules)


def _calls(world: World, index: int, rules: Rules) -> Iterator[tuple[str, World]]:
    agent = world.agents[index]
    state = agent.disk.positions
    if state.session_no == 0:
        yield f"open at {index}", _send_open(world, index, rules)
        return
    if _needs_sync(world, agent, rules):
        yield f"sync at {index}", _send_sync(world, index, rules)
    wanted = 1 - _free(agent, world.server.window)
    if world.calls_left and wanted > 0 and left(world, rules) > 0:
        yield f"acquire at {index}", _send_acquire(world, index, wanted, rules)


def _send_open(world: World, index: int, rules: Rules) -> World:
    agent = world.agents[index]
    state = core.session_attempted(agent.disk.positions, fresh_nonce=_nonce(world, index))
    acked = next(
        (number for number, row in enumerate(agent.disk.rows) if not row.is_acked),
        len(agent.disk.rows),
    )
    opening = Opening(
        disk_id=state.disk_id,
        nonce=state.nonce,
        sync_no=state.sync_no,
        applied_seq=acked,
        earliest_kept_seq=1,
        incarnation=state.server_incarnation,
        previous_disk_id=state.previous_disk_id,
    )
    call = Open(agent.name, opening, _reports(agent.disk))
    disk = agent.disk._replace(positions=state)
    return _sent(world, index, agent._replace(disk=disk, call=call), rules)


def _send_sync(world: World, index: int, rules: Rules) -> World:
    agent = world.agents[index]
    state = syncing.sync_attempted(agent.disk.positions, fresh_nonce=_nonce(world, index))
    is_dry = _free(agent, world.server.window) == 0
    call = Sync(
        state.disk_id,
        (state.server_incarnation, state.session_no),
        state.sync_no,
        state.nonce,
        _reports(agent.disk),
        tuple(each.reservation_id for each in agent.disk.reservations if not each.holds),
        GRANT_MAX if world.calls_left and is_dry else 0,
    )
    disk = agent.disk._replace(positions=state)
    return _sent(world, index, agent._replace(disk=disk, call=call), rules)


def _send_acquire(world: World, index: int, wanted: int, rules: Rules) -> World:
    agent = world.agents[index]
    window = world.server.window
    usable = [each for each in _leases(agent, window) if not each.is_closed]
    if usable:
        lease = usable[0]
    else:
        lease = Lease(
            lease_id=_fresh_lease_id(world, index),
            customer_id=CUSTOMER,
            limit_key=LIMIT,
            window_id=window,
        )
        agent = agent._replace(disk=put_leases(agent.disk, (lease,)))
    state = agent.disk.positions
    call = Acquire(
        state.disk_id,
        (state.server_incarnation, state.session_no),
        *agent.mark,
        lease.lease_id,
        window,
        lease.granted + wanted,
    )
    return _sent(world, index, agent._replace(call=call), rules)


def _nonce(world: World, index: int) -> bytes:
    """Returns what no other attempt has: random bits, but equal in worlds that are equal."""
    count = world.agents[index].disk.positions.sync_no
    return b"n%d-%d-%d" % (index, world.serial, count)


def _fresh_lease_id(world: World, index: int) -> bytes:
    window = world.server.window
    count = sum(each.window_id == window for each in world.agents[index].disk.leases)
    return b"a%d-%d-%s-%d" % (index, world.serial, window.encode(), count)


def _sent(world: World, index: int, agent: Agent, rules: Rules) -> World:
    call = agent.call
    assert call is not None
    world = with_agent(world, index, agent)
    if not world.is_network_slow:
        return _take_answer(deliver(world, call, rules), index, rules)
    return world._replace(network=world.network | {call})


def _needs_sync(world: World, agent: Agent, rules: Rules) -> bool:
    """Whether a sync would change anything: an idle one is left out, as its number would rise."""
    server, disk_id = world.server, agent.disk.positions.disk_id
    heard = hear_reports(world, disk_id, _reports(agent.disk), rules).server
    on_record = {each.lease_id: each for each in agent.disk.leases}
    for lease in server.of_disk(disk_id):
        own = on_record.get(lease.lease_id)
        if own is None:
            if lease.rest and lease.state is LeaseState.LIVE:
                return True
        elif _is_behind(own, lease):
            return True
    holds = {each.reservation_id for each in agent.disk.reservations if each.holds}
    told = {name for owner, name in server.elsewhere if owner == disk_id}
    is_dry = world.calls_left and _free(agent, server.window) == 0 and left(world, rules) > 0
    return heard.leases != server.leases or bool(is_dry) or bool(told & holds)


def _is_behind(own: Lease, lease: ServerLease) -> bool:
    is_spent = lease.settled > own.consumed and own.free > 0
    return lease.granted > own.granted or lease.recall_no > own.recall_no or is_spent


def _take_answer(world: World, index: int, rules: Rules) -> World:
    agent = world.agents[index]
    call, answer = agent.call, agent.answer
    assert call is not None
    assert answer is not None
    agent = agent._replace(call=None, answer=None)
    fresh = b"d%d" % (2_000 + 100 * index + world.serial)
    before = agent.disk.positions
    if isinstance(call, Open):
        agent = _opened(agent, call, answer, rules, fresh)
    elif isinstance(call, Sync):
        agent = _synced(agent, call, answer, rules, fresh)
    elif call.session == (before.server_incarnation, before.session_no):
        on_record = {each.lease_id for each in agent.disk.leases}
        news = tuple(each for each in answer.news if each.lease_id in on_record)
        agent = _with_news(agent, answer._replace(news=news), rules)
        if answer.state != "accepted":
            positions = replace(before, session_no=0)
            agent = agent._replace(disk=agent.disk._replace(positions=positions))
    return with_agent(world, index, agent)


def _opened(agent: Agent, call: Open, answer: Answer, rules: Rules, fresh: bytes) -> Agent:
    disk, nonce = agent.disk, call.opening.nonce
    if answer.session is None:
        after = core.identity_taken(disk.positions, attempt_nonce=nonce, fresh_disk_id=fresh)
        return agent._replace(disk=_given_up(disk, after))
    known = disk.positions.server_incarnation
    # Positions of rows are the search of shipping's: here only the session matters.
    session = replace(answer.session, applied_seq=0, safe_seq=0)
    after = core.session_opened(disk.positions, session, attempt_nonce=nonce, fresh_disk_id=fresh)
    rows = disk.rows
    if known not in ("", answer.session.server_incarnation):
        rows = tuple(row._replace(is_acked=False) for row in rows)
    agent = agent._replace(disk=disk._replace(positions=after, rows=rows))
    return _with_news(agent, answer, rules)._replace(mark=(call.opening.sync_no, nonce))


def _synced(agent: Agent, call: Sync, answer: Answer, rules: Rules, fresh: bytes) -> Agent:
    disk = agent.disk
    session_no = call.session[1]
    if not syncing.is_latest(disk.positions, session_no=session_no, attempt_nonce=call.nonce):
        return agent
    after = syncing.sync_answered(
        disk.positions,
        outcome=OUTCOMES[answer.state],
        session_no=session_no,
        attempt_nonce=call.nonce,
        fresh_disk_id=fresh,
    )
    if answer.state == "identity_taken":
        return agent._replace(disk=_given_up(disk, after))
    agent = agent._replace(disk=disk._replace(positions=after))
    if answer.state != "accepted":
        return agent
    agent = _with_news(agent, answer, rules)._replace(mark=(call.sync_no, call.nonce))
    for name in answer.settled_elsewhere:
        found = reservation_of(agent.disk, name)
        if found is not None and found.holds:
            agent = agent._replace(disk=dropped(agent.disk, found))
    return agent


def _given_up(disk: Disk, positions: Positions) -> Disk:
    own = tuple(each for each in disk.leases if each.lease_id == OFFLINE_LEASE_ID)
    rest = tuple(each for each in disk.leases if each.lease_id != OFFLINE_LEASE_ID)
    return disk._replace(positions=positions, leases=own + syncing.given_up(rest))


def _with_news(agent: Agent, answer: Answer, rules: Rules) -> Agent:
    on_record = {each.lease_id: each for each in agent.disk.leases}
    leases = [
        rules.with_news(on_record.get(each.lease_id), news=each, sent_at_us=0, now_us=0)
        for each in answer.news
    ]
    return agent._replace(disk=put_leases(agent.disk, tuple(leases)))


def _housekeeping(world: World, index: int, rules: Rules) -> Iterator[tuple[str, World]]:
    disk = world.agents[index].disk
    for lease in disk.leases:
        is_over = lease.window_id != world.server.window
        # What comes free of a closed lease goes back, whether its time is over or not.
        if lease.is_closed or (is_over and lease.usable_until_us != 0):
            own = own_allowance(world.server.window, world.allowance)
            closed = lease_expired(lease)
            if lease.lease_id == OFFLINE_LEASE_ID:
                closed = own[0] if not lease.held else lease
            if closed != lease:
                yield (
                    f"time is over at {index}",
                    with_disk(world, index, put_leases(disk, (closed,))),
                )
        # Without a backup no event is safe: nothing may be forgotten.
        may = (is_over and world.backup is not None) or rules.forgets_open_windows
        if may and lease.lease_id != OFFLINE_LEASE_ID and _may_forget(world, disk, lease, rules):
            leases = tuple(each for each in disk.leases if each != lease)
            yield f"forget at {index}", with_disk(world, index, disk._replace(leases=leases))


def _may_forget(world: World, disk: Disk, lease: Lease, rules: Rules) -> bool:
    """Asks the real rule: an event is safe once the server's backup holds it."""
    kept = frozenset() if world.backup is None else world.backup.ids
    safe = 0
    last = 0
    for number, row in enumerate(disk.rows, start=1):
        if row.name in kept and safe == number - 1:
            safe = number
        if any(lease_id == lease.lease_id for lease_id, _ in row.debits):
            last = number
    return rules.may_forget(lease, last_event_seq=last, deletable_seq=safe)


def _ship(world: World, index: int, rules: Rules) -> Iterator[tuple[str, World]]:
    disk = world.agents[index].disk
    state = disk.positions
    stream = world.server.stream(state.disk_id)
    if not state.session_no:
        return
    session = (world.server.incarnation, 0 if stream is None else stream.session_no)
    is_fenced = (state.server_incarnation, state.session_no) != session
    acked = sum(row.is_acked for row in disk.rows)
    if stream is None or is_fenced or stream.applied_seq < acked:
        closed = disk._replace(positions=replace(state, session_no=0))
        if world.agents[index].call is None:
            yield f"fenced at {index}", with_disk(world, index, closed)
        return
    if acked == len(disk.rows):
        return
    after = counted(world, index, rules)
    rows = (*disk.rows[:acked], disk.rows[acked]._replace(is_acked=True), *disk.rows[acked + 1 :])
    yield f"ship at {index}", with_disk(after, index, disk._replace(rows=rows))


def counted(world: World, index: int, rules: Rules) -> World:
    """Lets the server count the next row of a disk; the agent has not heard of it yet."""
    disk = world.agents[index].disk
    disk_id = disk.positions.disk_id
    acked = sum(row.is_acked for row in disk.rows)
    world = count(world, disk.rows[acked], rules, disk_id)
    stream = world.server.stream(disk_id)
    assert stream is not None
    stream = advanced(stream, applied_seq=max(stream.applied_seq, acked + 1))
    return world._replace(server=with_stream(world.server, stream))


def _reports(disk: Disk) -> tuple[tuple[bytes, str, object], ...]:
    return tuple(report_of(each) for each in disk.leases if each.lease_id != OFFLINE_LEASE_ID)


def _leases(agent: Agent, window: str) -> list[Lease]:
    return [
        each
        for each in agent.disk.leases
        if each.window_id == window and each.lease_id != OFFLINE_LEASE_ID
    ]


def _free(agent: Agent, window: str) -> int:
    return sum(each.free for each in _leases(agent, window) if each.usable_until_us is None)
