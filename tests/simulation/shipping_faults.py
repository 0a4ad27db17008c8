"""Everything that may go wrong in the small world of shipping, one fault at a time."""

from collections.abc import Iterator
from dataclasses import replace

from billing_server.domain.session.opening import Opening
from meter_agent.core.positions import Positions
from tests.simulation.shipping_world import (
    Agent,
    Disk,
    Push,
    Rules,
    World,
    deliver,
    excuse,
    record,
    with_agent,
)


def faults(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yields every fault that may come next."""
    yield from _faults_of_agents(world)
    yield from _faults_of_network(world, rules)
    yield from _faults_of_disks(world)
    yield from _faults_of_server(world)


def _spent(world: World, name: str) -> World:
    left = getattr(world.faults, name) - 1
    return world._replace(faults=world.faults._replace(**{name: left}))


def _restarted(disk: Disk) -> Agent:
    """A session does not outlive the process."""
    return Agent(disk._replace(positions=replace(disk.positions, session_no=0)))


def _faults_of_agents(world: World) -> Iterator[tuple[str, World]]:
    for index, agent in enumerate(world.agents):
        if world.faults.crash and agent.disk.positions.session_no + (agent.call is not None):
            yield (
                f"crash {index}",
                with_agent(_spent(world, "crash"), index, _restarted(agent.disk)),
            )
        if world.faults.give_up and agent.call is not None:
            yield (
                f"give up {index}",
                with_agent(_spent(world, "give_up"), index, Agent(agent.disk)),
            )
    if world.faults.retry_elsewhere and len(world.agents) > 1:
        for name in world.accepted:
            for index, agent in enumerate(world.agents):
                if name not in agent.disk.rows:
                    yield (
                        f"retry {name} at {index}",
                        record(_spent(world, "retry_elsewhere"), index, name),
                    )


def _faults_of_network(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    for message in world.network:
        rest = world._replace(network=world.network - {message})
        if world.faults.double:
            yield "double", deliver(_spent(world, "double"), message, rules)
        if world.faults.drop:
            yield "drop", _answerless(_spent(rest, "drop"), message)
        if rules.marks_apart and isinstance(message, Push):
            server = rest.server._replace(ids=rest.server.ids | set(message.events))
            yield (
                "server crash between mark and count",
                _answerless(rest._replace(server=server), message),
            )


def _answerless(world: World, message: Opening | Push) -> World:
    for index, agent in enumerate(world.agents):
        if agent.call == message and agent.answer is None:
            return with_agent(world, index, Agent(agent.disk))
    return world


def _faults_of_disks(world: World) -> Iterator[tuple[str, World]]:
    first = world.agents[0]
    if world.faults.rollback and world.snapshot is None:
        yield "snapshot", world._replace(snapshot=first.disk)
    if world.faults.rollback and world.snapshot not in (None, first.disk):
        assert world.snapshot is not None
        after = with_agent(_spent(world, "rollback"), 0, _restarted(world.snapshot))
        yield "rollback", excuse(after._replace(may_change_identity=True))
    if world.faults.clone:
        agents = (*world.agents, _restarted(first.disk))
        yield (
            "clone",
            _spent(world, "clone")._replace(agents=agents, may_change_identity=True),
        )
    if world.faults.lose_disk:
        fresh = Agent(Disk(Positions(disk_id=b"d%d" % world.serial), ()))
        after = with_agent(_spent(world, "lose_disk"), 0, fresh)
        yield "lose disk", excuse(after._replace(serial=world.serial + 1))


def _faults_of_server(world: World) -> Iterator[tuple[str, World]]:
    if world.faults.backup and world.server not in world.backups:
        backups = (*world.backups, world.server)
        yield "backup", _spent(world, "backup")._replace(backups=backups)
    for number, backup in enumerate(world.backups):
        kept = world.backups[: number + 1]
        back = world._replace(server=backup, backups=kept, may_change_identity=True)
        is_latest = number == len(world.backups) - 1
        if world.faults.restore_noticed:
            fresh = backup._replace(incarnation=f"i{world.serial}")
            after = back._replace(server=fresh, serial=world.serial + 1)
            yield _restored("restore", _spent(after, "restore_noticed"), is_latest=is_latest)
        if world.faults.restore_unnoticed:
            yield _restored(
                "restore unnoticed", _spent(back, "restore_unnoticed"), is_latest=is_latest
            )


def _restored(label: str, world: World, *, is_latest: bool) -> tuple[str, World]:
    return f"{label} {'latest' if is_latest else 'older'}", excuse(world)
