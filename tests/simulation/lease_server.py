"""What the small server makes of calls about leases, by the real decisions."""

from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.limit.numbering import SyncState, decide_acquire
from billing_server.domain.session.opening import (
    OpeningAction,
    decide_opening,
    opened_stream,
    synced,
)
from meter_agent.core.positions import SessionAnswer
from tests.simulation.lease_world import (
    GRANT_MAX,
    Acquire,
    Answer,
    Open,
    Row,
    Rules,
    Server,
    Sync,
    World,
    disk_number,
    grant,
    hear_reports,
    left,
    new_lease,
    news_of,
    plus,
    with_agent,
    with_lease,
    with_stream,
)

ANSWERS = {SyncState.FENCED: "fenced", SyncState.IDENTITY_TAKEN: "identity_taken"}


def deliver(world: World, message: Open | Sync | Acquire, rules: Rules) -> World:
    """Lets the server hear a call; whoever waits for it is answered."""
    before = world
    if isinstance(message, Open):
        world, answer = _open(world, message, rules)
    elif isinstance(message, Sync):
        world, answer = _sync(world, message, rules)
    else:
        world, answer = _acquire(world, message, rules)
    world = _told_to_both(before, world)
    for index, agent in enumerate(world.agents):
        if agent.call == message and agent.answer is None:
            world = with_agent(world, index, agent._replace(answer=answer))
    return world


def _told_to_both(before: World, world: World) -> World:
    """Adds to the bound what is granted to a disk before its live copy is told from it.

    A copy goes on with the number that its disk had: until the server has heard a later one, what
    it grants is told to both.
    """
    copied = world.copied
    stream = None if copied is None else world.server.stream(copied.disk_id)
    if copied is None or stream is None:
        return world
    first_no = copied.sync_no if copied.nonce else copied.sync_no + 1
    if stream.sync_no > first_no:
        return world
    granted = [
        sum(lease.granted for lease in each.server.of_disk(copied.disk_id))
        for each in (before, world)
    ]
    return world._replace(extra=world.extra + granted[1] - granted[0])


def _open(world: World, message: Open, rules: Rules) -> tuple[World, Answer]:
    server, opening = world.server, message.opening
    stream = server.stream(opening.disk_id)
    decision = decide_opening(
        opening,
        incarnation=server.incarnation,
        stream=stream,
        previous=server.stream(opening.previous_disk_id),
    )
    if decision.action is OpeningAction.TAKEN:
        return world, Answer("identity_taken")
    session_no = 0 if stream is None else stream.session_no
    session_no += decision.action is not OpeningAction.REPEAT
    stream = opened_stream(opening, decision=decision, session_no=session_no)
    server = with_stream(server, stream)
    unheard = server.unheard
    if decision.is_server_behind:
        server = server._replace(incarnation=f"i{world.serial}")
        world = world._replace(serial=world.serial + 1)
        unheard = frozenset(agent.name for agent in world.agents)
    server = server._replace(unheard=unheard - {message.name})
    world = hear_reports(world._replace(server=server), opening.disk_id, message.reports, rules)
    news = tuple(news_of(each) for each in world.server.of_disk(opening.disk_id))
    session = SessionAnswer(
        "a", session_no, server.incarnation, stream.applied_seq, stream.applied_seq
    )
    return world, Answer("accepted", session, news)


def _sync(world: World, message: Sync, rules: Rules) -> tuple[World, Answer]:
    server = world.server
    state = rules.decide_sync(
        server.stream(message.disk_id),
        server_incarnation=server.incarnation,
        named=message.session,
        sync_no=message.sync_no,
        nonce=message.nonce,
    )
    if state in ANSWERS:
        return world, Answer(ANSWERS[state])
    stream = server.stream(message.disk_id)
    if state is SyncState.ACCEPTED and stream is not None:
        stream = synced(stream, sync_no=message.sync_no, nonce=message.nonce)
        server = with_stream(server, stream)
    dropped = {(message.disk_id, name) for name in message.dropped}
    server = server._replace(
        elsewhere=tuple(each for each in server.elsewhere if each not in dropped)
    )
    world = hear_reports(world._replace(server=server), message.disk_id, message.reports, rules)
    world = _grant_some(world, message, rules)
    server = world.server
    news = tuple(news_of(each) for each in server.of_disk(message.disk_id))
    names = tuple(name for disk_id, name in server.elsewhere if disk_id == message.disk_id)
    return world, Answer("accepted", None, news, names)


def _grant_some(world: World, message: Sync, rules: Rules) -> World:
    amount = min(message.wants, GRANT_MAX, left(world, rules))
    if amount <= 0:
        return world
    for lease in world.server.of_disk(message.disk_id):
        is_current = lease.key.window_id == world.server.window
        if lease.state is LeaseState.LIVE and is_current and not lease.is_recalled:
            return grant(world, lease, amount)
    number = (world.serial, len(world.server.leases))
    lease = new_lease(b"s%d-%d" % number, message.disk_id, world.server.window)
    return grant(world, lease, amount)


def _acquire(world: World, message: Acquire, rules: Rules) -> tuple[World, Answer]:
    server = world.server
    state = decide_acquire(
        server.stream(message.disk_id),
        server_incarnation=server.incarnation,
        named=message.session,
        sync_no=message.sync_no,
        nonce=message.nonce,
    )
    if state in ANSWERS:
        return world, Answer(ANSWERS[state])
    lease = server.lease(message.lease_id)
    if lease is None:
        lease = new_lease(message.lease_id, message.disk_id, message.window)
    amount = min(message.granted - lease.granted, left(world, rules))
    may = (
        lease.state is LeaseState.LIVE
        and lease.key.window_id == server.window == message.window
        and lease.agent_ref == disk_number(message.disk_id)
    )
    if may and amount > 0:
        world = grant(world, lease, amount)
        lease = world.server.lease(message.lease_id) or lease
    return world, Answer("accepted", None, (news_of(lease),))


def count(world: World, row: Row, rules: Rules, disk_id: bytes) -> World:
    """Counts an event and settles its debits: one transaction."""
    server = world.server
    if row.name in server.ids and rules.looks_at_ids:
        return world._replace(server=_taken_back(server, row, rules, disk_id))
    settled = server.settled
    for window, cost in row.costs:
        settled = plus(settled, server.window if rules.reset_in_place else window, cost)
    debits = server.debits | {(row.name, lease_id) for lease_id, _ in row.debits}
    server = server._replace(ids=server.ids | {row.name}, settled=settled, debits=debits)
    for lease_id, amount in row.debits:
        lease = server.lease(lease_id) or new_lease(lease_id, disk_id, "")
        server = with_lease(server, rules.debited(lease, amount=amount))
    if row.reservation and not row.debits:
        told = [
            (stream.disk_id, row.reservation)
            for stream in server.streams
            if stream.disk_id != disk_id
        ]
        server = server._replace(elsewhere=tuple(sorted({*server.elsewhere, *told})))
    return world._replace(server=server)


def _taken_back(server: Server, row: Row, rules: Rules, disk_id: bytes) -> Server:
    """Settles the debits of an event that another agent recorded as well, each once."""
    for lease_id, amount in row.debits:
        lease = server.lease(lease_id)
        is_own = lease is not None and lease.agent_ref == disk_number(disk_id)
        if lease is not None and is_own and (row.name, lease_id) not in server.debits:
            server = with_lease(server, rules.debited(lease, amount=amount))
            server = server._replace(debits=server.debits | {(row.name, lease_id)})
    return server
