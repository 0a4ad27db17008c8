"""Everything that may go wrong, or be changed by people, in the small world of leases."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from billing_server.domain.limit.lease import LeaseState, released
from meter_agent.core.positions import Positions
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import ReservationState
from meter_agent.core.quota.settle import debit_usage, give_back
from meter_agent.core.quota.sync import idle_returned
from tests.simulation.lease_calls import (
    Amounts,
    end,
    put_leases,
    put_reservation,
    record,
    terms_of,
)
from tests.simulation.lease_server import deliver
from tests.simulation.lease_steps import counted
from tests.simulation.lease_world import (
    OFFLINE_LEASE_ID,
    WINDOWS,
    Agent,
    Disk,
    Row,
    Rules,
    Server,
    World,
    own_allowance,
    with_agent,
    with_disk,
    with_lease,
)


def faults(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yields every fault and every change by people that may come next."""
    for index, agent in enumerate(world.agents):
        yield from _faults_of_agent(world, index, agent, rules)
        yield from _faults_of_calls(world, index, agent, rules)
    for message in sorted(world.network, key=repr):
        if world.faults.double:
            yield "double", deliver(_spent(world, "double"), message, rules)
    yield from _faults_of_disks(world, rules)
    yield from _changes(world, rules)
    yield from _faults_of_server(world)


def _spent(world: World, name: str) -> World:
    left = getattr(world.faults, name) - 1
    renews = name in {"rollback", "clone", "lose_disk", "restore_noticed", "restore_unnoticed"}
    return world._replace(
        faults=world.faults._replace(**{name: left}), serial=world.serial + renews
    )


def _restarted(agent: Agent, rules: Rules) -> Agent:
    disk = agent.disk
    leases = tuple(
        each if each.lease_id == OFFLINE_LEASE_ID else rules.reload(each) for each in disk.leases
    )
    positions = replace(disk.positions, session_no=0)
    return Agent(agent.name, disk._replace(positions=positions, leases=leases))


def _faults_of_agent(
    world: World, index: int, agent: Agent, rules: Rules
) -> Iterator[tuple[str, World]]:
    left, disk = world.faults, agent.disk
    if left.crash and disk.positions.session_no:
        yield f"crash {index}", with_agent(_spent(world, "crash"), index, _restarted(agent, rules))
    if left.give_up and agent.call is not None:
        # The answer is lost, or the request comes late: it stays on its way.
        gone = agent._replace(call=None, answer=None)
        yield f"give up {index}", with_agent(_spent(world, "give_up"), index, gone)
    if left.lose_ack and disk.positions.session_no and not all(row.is_acked for row in disk.rows):
        stream = world.server.stream(disk.positions.disk_id)
        acked = sum(row.is_acked for row in disk.rows)
        # A push that would leave a hole is not applied: no ack of it is lost.
        if (
            stream is not None
            and stream.session_no == disk.positions.session_no
            and stream.applied_seq >= acked
        ):
            yield f"lose ack {index}", counted(_spent(world, "lose_ack"), index, rules)
    if left.return_idle:
        for lease in disk.leases:
            back = idle_returned(lease, keep=0)
            if back != lease and lease.lease_id != OFFLINE_LEASE_ID and not lease.is_closed:
                after = with_disk(_spent(world, "return_idle"), index, put_leases(disk, (back,)))
                yield f"return idle {index}", after


def _faults_of_calls(
    world: World, index: int, agent: Agent, rules: Rules
) -> Iterator[tuple[str, World]]:
    left, disk = world.faults, agent.disk
    for found in disk.reservations:
        name, granted = found.reservation_id, int(found.granted["t"])
        if left.expire and found.state is ReservationState.HELD:
            gone = put_reservation(disk, rules.expire(found))
            if rules.gives_back_at_expiry:
                effect = give_back(found, leases=disk.leases, now_us=0)
                gone = put_leases(gone, effect.leases)
            yield f"expire {name}", with_disk(_spent(world, "expire"), index, gone)
        if left.overrun and (found.holds or found.is_returned) and found.ending is None:
            after = end(_spent(world, "overrun"), index, found, rules, used=granted + 1)
            yield f"settle more of {name}", after
        if left.overrated and found.holds:
            after = end(_spent(world, "overrated"), index, found, rules, used=granted, overrated=1)
            yield f"settle {name}, rated higher", after
        if left.crash and found.ending is not None and found.ending.event_id:
            # A retry whose answer was lost, with the same and with other numbers.
            after = _settled_again(_spent(world, "crash"), index, found.reservation_id, rules)
            if after is not None:
                yield f"settle {name} again", after
        if left.elsewhere and len(world.agents) > 1 and found.holds:
            other = (index + 1) % len(world.agents)
            yield f"settle {name} at {other}", _elsewhere(world, other, name, granted)
    if left.unreserved:
        effect = debit_usage(
            terms=terms_of(world),
            leases=disk.leases,
            dimensions={},
            quantities=Amounts(t=Decimal(1)),
            now_us=0,
        )
        spent = _spent(world, "unreserved")
        spent = with_disk(spent, index, put_leases(disk, effect.leases))
        uncovered = sum(effect.uncovered.values())
        name = f"u{left.unreserved}"
        yield (
            f"record at {index}",
            record(spent, index, name, effect, used=1, excused=uncovered),
        )


def _settled_again(world: World, index: int, name: str, rules: Rules) -> World | None:
    disk = world.agents[index].disk
    found = next(each for each in disk.reservations if each.reservation_id == name)
    used = int(dict(found.ending.content.quantities)["t"]) if found.ending else 0
    after = end(world, index, found, rules, used=used)
    return None if after == world else after


def _elsewhere(world: World, other: int, name: str, used: int) -> World:
    """Settles a reservation at an agent that does not hold it: recorded, debited to no lease."""
    event = f"{name}-settle"
    spent = _spent(world, "elsewhere")._replace(is_settled_elsewhere=True)
    disk = spent.agents[other].disk
    if any(row.name == event for row in disk.rows):
        return spent
    row = Row(event, ((spent.server.window, used),), (), name)
    spent = with_disk(spent, other, disk._replace(rows=(*disk.rows, row)))
    if event in spent.done:
        return spent
    window = spent.server.window
    return spent._replace(
        used=_plus(spent.used, window, used),
        excused=_plus(spent.excused, window, used),
        done=spent.done | {event},
    )


def _plus(
    amounts: tuple[tuple[str, int], ...], window: str, amount: int
) -> tuple[tuple[str, int], ...]:
    found = dict(amounts)
    found[window] = found.get(window, 0) + amount
    return tuple(sorted(found.items()))


def _faults_of_disks(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    first = world.agents[0]
    if world.faults.rollback and world.snapshot is None:
        yield "snapshot", world._replace(snapshot=first.disk)
    if world.faults.rollback and world.snapshot not in (None, first.disk):
        assert world.snapshot is not None
        back = _restarted(first._replace(disk=world.snapshot), rules)
        after = _spent(world, "rollback")
        yield "rollback", with_agent(after._replace(extra=after.extra + _rests(after)), 0, back)
    if world.faults.clone:
        after = _spent(world, "clone")
        agents = (*world.agents, _restarted(first, rules))
        copied = first.disk.positions
        yield (
            "clone",
            after._replace(agents=agents, extra=after.extra + _rests(after), copied=copied),
        )
    if world.faults.lose_disk:
        fresh = Positions(disk_id=b"d%d" % (2_000 + world.serial))
        disk = Disk(fresh, own_allowance(world.server.window, world.allowance))
        after = _spent(world, "lose_disk")
        after = after._replace(extra=after.extra + world.allowance)
        yield "lose disk", with_agent(after, 0, Agent(first.name, disk))


def _rests(world: World) -> int:
    """Returns what the first agent may spend twice: what the server holds for its disk.

    Its offline allowance as well: no server knows what is left of it.
    """
    disk_id = world.agents[0].disk.positions.disk_id
    return world.allowance + sum(each.rest for each in world.server.of_disk(disk_id))


def _changes(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    left, server = world.faults, world.server
    if left.lower and server.limit > 1:
        lowered = server._replace(limit=server.limit - 1)
        yield "lower", _spent(world, "lower")._replace(server=lowered)
    if left.raise_:
        yield (
            "raise",
            _spent(world, "raise_")._replace(server=server._replace(limit=server.limit + 1)),
        )
    if left.next_window and server.window == WINDOWS[0]:
        yield "next window", _next_window(_spent(world, "next_window"), rules)
    for lease in server.leases:
        if lease.state is LeaseState.LIVE and lease.rest:
            if left.recall and not lease.is_recalled:
                asked = with_lease(server, rules.recall(lease))
                yield "recall", _spent(world, "recall")._replace(server=asked)
            if left.silence:
                freed = with_lease(server, rules.silenced(lease))
                yield "silence", _spent(world, "silence")._replace(server=freed)
        if lease.state in {LeaseState.LIVE, LeaseState.RECLAIMED} and left.write_off:
            gone = with_lease(server, rules.written_off(lease))
            yield "write off", _spent(world, "write_off")._replace(server=gone)
        if lease.state is LeaseState.WRITTEN_OFF and left.release:
            freed_lease, amount = released(lease)
            after = _spent(world, "release")
            yield (
                "release",
                after._replace(server=with_lease(server, freed_lease), extra=after.extra + amount),
            )


def _next_window(world: World, rules: Rules) -> World:
    server = world.server._replace(window=WINDOWS[1])
    if rules.reset_in_place:
        server = server._replace(settled=())
    return world._replace(server=server)


def _faults_of_server(world: World) -> Iterator[tuple[str, World]]:
    left, server = world.faults, world.server
    if left.backup and world.backup != server:
        yield "backup", _spent(world, "backup")._replace(backup=server)
    if world.backup not in (None, server):
        assert world.backup is not None
        # Neither the time nor what people set goes back with the data.
        backup = world.backup._replace(window=server.window, limit=server.limit)
        forgotten = _forgotten(world, backup)
        if left.restore_noticed:
            names = frozenset(agent.name for agent in world.agents)
            fresh = backup._replace(incarnation=f"i{world.serial}", unheard=names)
            after = _spent(world, "restore_noticed")
            yield "restore", after._replace(server=fresh, forgotten=forgotten)
        if left.restore_unnoticed:
            after = _spent(world, "restore_unnoticed")
            extra = after.extra + sum(amount for _, amount in forgotten)
            yield "restore unnoticed", after._replace(server=backup, extra=extra)
    if left.end_quarantine and server.unheard:
        forgotten_now = dict(world.forgotten)
        extra = world.extra + sum(forgotten_now.get(name, 0) for name in server.unheard)
        after = _spent(world, "end_quarantine")
        heard = server._replace(unheard=frozenset())
        yield "quarantine is over", after._replace(server=heard, extra=extra)


def _forgotten(world: World, backup: Server) -> tuple[tuple[bytes, int], ...]:
    """Returns what each agent was granted after the backup, as far as it may still be used."""
    amounts: dict[bytes, int] = {}
    for agent in world.agents:
        for lease in world.server.of_disk(agent.disk.positions.disk_id):
            old = backup.lease(lease.lease_id)
            known = 0 if old is None else old.granted - old.returned
            more = max(0, lease.granted - lease.returned - known)
            amounts[agent.name] = amounts.get(agent.name, 0) + more
    return tuple(sorted(amounts.items()))


def holds_of(agent: Agent, lease: Lease) -> int:
    """Returns what open reservations hold of a lease."""
    return sum(
        take.amount
        for found in agent.disk.reservations
        if found.holds
        for take in found.takes
        if take.lease_id == lease.lease_id
    )
