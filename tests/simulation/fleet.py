"""One seed, one world: several agents, their callers, a server, a network, disks and clocks."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from meter_agent.core.positions import Positions
from tests.simulation.fleet_agent import Agent, lost_copies
from tests.simulation.fleet_disk import Disk
from tests.simulation.fleet_server import CUSTOMERS, TOKENS, Server
from tests.simulation.fleet_truth import Event, Truth, Violation
from tests.simulation.fleet_world import FAULT_SECONDS, HEAL_SECONDS, Rules, World, weather

MakeServer = Callable[[World], Server]
CALLER_TIMEOUT_SECONDS = 3.0
CLONES_MAX = 2


@dataclass
class Result:
    """What happened in a world, or in many."""

    worlds: int = 0
    attempted: int = 0
    answered: int = 0
    counted: int = 0
    lost: int = 0
    """Answered, no copy left after a lost disk, a rollback, or a restore."""
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Result") -> None:
        """Adds the figures of another result."""
        for name in ("worlds", "attempted", "answered", "counted", "lost", "steps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults.update(other.faults)

    def counts(self) -> dict[str, int]:
        """Returns the figures, by what they count."""
        return {
            "worlds": self.worlds,
            "steps": self.steps,
            "events attempted": self.attempted,
            "events answered OK": self.answered,
            "events counted": self.counted,
            "answered OK, no copy survived the faults": self.lost,
            **dict(sorted(self.faults.items())),
        }


class Caller:
    """A service that records a few events and retries, here or elsewhere, until one answers OK."""

    def __init__(self, fleet: "Fleet", events: tuple[Event, ...]) -> None:
        self._fleet, self._events = fleet, events
        self._tries_left = fleet.world.source.randint(1, 6)
        self._try_no = 0
        self._agent = fleet.world.source.choice(fleet.agents)
        fleet.world.truth.attempted.update(dict.fromkeys(events))
        self._try()

    def _try(self) -> None:
        world, agent = self._fleet.world, self._agent
        self._try_no += 1
        self._tries_left -= 1
        try_no = self._try_no

        def reply(result: str) -> None:
            world.send(agent.name, "caller", lambda: self._heard(try_no, result))

        world.send("caller", agent.name, lambda: agent.record(self._events, reply=reply))
        world.after(CALLER_TIMEOUT_SECONDS, lambda: self._heard(try_no, "TIMEOUT"))

    def _heard(self, try_no: int, result: str) -> None:
        if try_no != self._try_no:
            return
        self._try_no += 1
        world = self._fleet.world
        if result == "OK" and not world.happens(0.05, "answered OK, sent again all the same"):
            return
        if result == "REFUSED" or self._tries_left <= 0:
            return
        if world.source.random() < 0.4:
            agent = world.source.choice(self._fleet.agents)
            world.truth.faults["retried at another agent"] += agent is not self._agent
            self._agent = agent
        world.after(world.source.random() * 2.0, self._try)


class Fleet:
    """A world with its agents and server, and the faults that its seed has chosen."""

    def __init__(
        self, seed: int, *, rules: Rules | None = None, make_server: MakeServer = Server
    ) -> None:
        source = random.Random(seed)
        self.world = World(source, rules or Rules(), weather(source))
        self.server = make_server(self.world)
        self.agents: list[Agent] = []
        self._snapshots: dict[str, list[Disk]] = {}
        self._clone_count = 0
        self._event_no = 0
        for number in range(source.randint(1, len(TOKENS))):
            disk = Disk(Positions(disk_id=self.world.fresh_bytes()))
            self._add_agent(f"agent-{number}", TOKENS[number], disk)

    def _add_agent(self, name: str, token: str, disk: Disk) -> None:
        agent = Agent(
            self.world, name=name, token=token, disk=disk, server=self.server, fleet=self.agents
        )
        self.agents.append(agent)

    def run(self) -> Result:
        """Lives through the faults, heals, and judges.

        Raises:
            Violation: A promise was broken.
        """
        world, source = self.world, self.world.source
        for _ in range(source.randint(20, 90)):
            world.after(source.random() * FAULT_SECONDS, self._call)
        for _ in range(source.randint(2, 12) if world.weather.kinds else 0):
            world.after(source.random() * FAULT_SECONDS, self._fault)
        for _ in range(source.randint(0, 4)):
            world.after(source.random() * FAULT_SECONDS, self._snapshot)
            world.after(source.random() * FAULT_SECONDS, self.server.take_backup)
        world.run(FAULT_SECONDS)
        world.heal()
        world.run(FAULT_SECONDS + HEAL_SECONDS)
        for agent in self.agents:
            if not agent.is_up or agent.disk.positions.buffered_count:
                raise Violation(f"{agent.name} is stuck: {agent.disk.positions}")
        truth = world.truth
        truth.judge(counted=self.server.counted, totals=self.server.totals)
        return self._result(truth)

    def _result(self, truth: Truth) -> Result:
        counted = self.server.counted
        return Result(
            worlds=1,
            attempted=len(truth.attempted),
            answered=len(truth.answered),
            counted=len(counted),
            lost=sum(event not in counted for event in truth.answered),
            steps=truth.steps,
            faults=truth.faults,
        )

    def _call(self) -> None:
        source = self.world.source
        events = []
        for _ in range(source.choice((1, 1, 2, 5))):
            self._event_no += 1
            # The same id under two customers is two events.
            number = self._event_no - (source.random() < 0.05)
            event_time = None if source.random() < 0.5 else self.world.now
            events.append((source.choice(CUSTOMERS), f"e{number}", event_time))
        unique = {each[:2]: each for each in events}
        known = {each[:2] for each in self.world.truth.attempted}
        fresh = [
            Event(customer, event_id, source.randint(1, 1_000), event_time)
            for (customer, event_id), (_, _, event_time) in unique.items()
            if (customer, event_id) not in known
        ]
        if fresh:
            Caller(self, tuple(fresh))

    def _snapshot(self) -> None:
        agent = self.world.source.choice(self.agents)
        self._snapshots.setdefault(agent.name, []).append(agent.disk.copy())

    def _fault(self) -> None:
        """Lets one of this world's faults happen to somebody."""
        world, source = self.world, self.world.source
        kind = source.choice(world.weather.kinds)
        agent = source.choice(self.agents)
        seconds = source.choice((0.5, 5.0, 40.0)) * source.random()
        happenings: dict[str, Callable[[], bool]] = {
            "agent crash": lambda: _done(agent.crash(seconds=seconds)),
            "agent paused": lambda: _done(agent.pause(seconds=seconds)),
            "slow fsync": lambda: self._switch(agent, "is_slow", seconds),
            "disk full": lambda: self._switch(agent, "is_full", seconds),
            "disk rolled back": lambda: self._roll_back(agent),
            "live clone": lambda: self._clone(agent),
            "disk lost": lambda: self._lose_disk(agent),
            "one-way partition": lambda: self._partition(agent, seconds),
            "server crash": lambda: _done(self.server.crash(seconds=seconds)),
            "server restored": lambda: self._restore(kind),
            "server restored unnoticed": lambda: self._restore(kind),
            "clock step": lambda: self._step_clock(agent),
        }
        if happenings[kind]():
            world.truth.faults[kind] += 1

    def _switch(self, agent: Agent, name: str, seconds: float) -> bool:
        writer = agent.writer
        setattr(writer, name, True)
        self.world.after(seconds, lambda: setattr(writer, name, False))
        return True

    def _roll_back(self, agent: Agent) -> bool:
        snapshots = self._snapshots.get(agent.name)
        if not snapshots:
            return False
        snapshot = self.world.source.choice(snapshots)
        self._replace_disk(agent, snapshot.copy())
        return True

    def _lose_disk(self, agent: Agent) -> bool:
        self._replace_disk(agent, Disk(Positions(disk_id=self.world.fresh_bytes())))
        self._snapshots.pop(agent.name, None)
        return True

    def _replace_disk(self, agent: Agent, disk: Disk) -> None:
        old_rows = agent.disk.rows
        agent.crash(seconds=None)
        agent.disk = disk
        self.world.truth.recorded(disk.rows)  # A snapshot may bring back what was gone.
        lost_copies(self.world, self.server, self.agents, old_rows, cause="disk")

    def _clone(self, agent: Agent) -> bool:
        if self._clone_count >= CLONES_MAX or self._is_beyond("server restored unnoticed"):
            return False
        self._clone_count += 1
        name = f"{agent.name}-clone-{self._clone_count}"
        self._add_agent(name, agent.token, agent.disk.copy())
        return True

    def _partition(self, agent: Agent, seconds: float) -> bool:
        ways = (
            (agent.name, "server"),
            ("server", agent.name),
            ("caller", agent.name),
            (agent.name, "caller"),
        )
        self.world.block(*self.world.source.choice(ways), seconds=seconds)
        return True

    def _restore(self, kind: str) -> bool:
        if kind == "server restored unnoticed" and self._is_beyond("live clone"):
            return False
        before = self.server.counted
        if not self.server.restore(is_noticed=kind == "server restored"):
            return False
        self.world.truth.recorded(self.server.counted)
        suspects = sorted(before, key=repr)
        lost_copies(self.world, self.server, self.agents, suspects, cause="server")
        return True

    def _is_beyond(self, other: str) -> bool:
        """Whether a fault would meet another one beyond the limit in docs/reliability.md."""
        return bool(self.world.truth.faults[other]) and not self.world.rules.beyond_the_limit

    def _step_clock(self, agent: Agent) -> bool:
        steps = (-3_600.0, -200.0, 200.0, 3_600.0, 3_200_000.0)
        agent.clock.offset_seconds += self.world.source.choice(steps)
        return True


def _done(_nothing: None) -> bool:
    return True


def play(seed: int, *, rules: Rules | None = None, make_server: MakeServer = Server) -> Result:
    """Lives through the world of a seed.

    Args:
        seed: Of the world.
        rules: The decisions, where one of them is a mutant's.
        make_server: The server, where it is not the small one.

    Raises:
        Violation: A promise was broken; the message begins with the seed.
    """
    fleet = Fleet(seed, rules=rules, make_server=make_server)
    try:
        return fleet.run()
    except Violation as violation:
        faults = {name: count for name, count in fleet.world.truth.faults.items() if count}
        raise Violation(
            f"seed {seed} at {fleet.world.now:.3f} s: {violation}\n{faults}\n{fleet.world.weather}"
        ) from violation
