"""One seed, one world under limits: agents with their real threads, services, servers, faults."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.limit import silence
from billing_server.store.unit_of_work import open_store
from meter_agent.store import database
from meter_agent.uplink import connector, lease_asker
from tests.simulation.fleet_server import CUSTOMERS, TOKENS
from tests.simulation.fleet_truth import Violation
from tests.simulation.fleet_world import Rules, World
from tests.simulation.quota_agent import MODULES, QuotaAgent
from tests.simulation.quota_callers import Services, drawn_plan, tidied
from tests.simulation.quota_channel import Channel, virtual_waiting
from tests.simulation.quota_drawing import (
    FAULT_SECONDS,
    LATE_SECONDS,
    QUARANTINE,
    STARTS,
    WORST,
    QuotaResult,
    drawn_limits,
    drawn_weather,
)
from tests.simulation.quota_money import (
    BUYERS,
    ROLLING_LIFE_SECONDS,
    drawn_maximum,
    drawn_money_limit,
    drawn_rolling_limit,
    kinds_of,
    sell_to_buyers,
)
from tests.simulation.quota_rest import judge_rest
from tests.simulation.quota_server import SERVER_MODULES, QuotaServer
from tests.simulation.quota_truth import QuotaTruth
from tests.simulation.quota_use import judge_use
from tests.simulation.virtual_threads import Hub, virtual_modules

STEPS_MAX = 20_000
"""A world has some thousands."""
Patch = tuple[Any, str, Any]
"""Module, name and what stands there instead: a mutant."""


class QuotaFleet:
    """A world with its agents, servers and services, and the faults that its seed has chosen.

    Args:
        seed: Of the world.
        directory: Empty; for the agents' disks.
    """

    def __init__(self, seed: int, *, directory: Path) -> None:
        source = random.Random(seed)
        self.world = World(source, Rules(), drawn_weather(source))
        self.worst = source.choice((*WORST, *("",) * 5))
        self.hub = Hub(self.world)
        self.start = source.choice(STARTS)
        self.truth = QuotaTruth(self.world, self.start, LATE_SECONDS, is_straight=not self.worst)
        self.agents: list[QuotaAgent] = []
        # Sources of their own: worlds without money and rolling windows stay what they were.
        self._money = random.Random(f"money {seed}")
        self._rolling = random.Random(f"rolling {seed}")
        self.kinds = kinds_of(seed, self._money)
        buyers = BUYERS if self.kinds.has_money else CUSTOMERS
        self.customers = buyers[: source.choice((1, 1, 2))]
        self._directory = directory
        self._template = directory / "template.db"
        self._snapshots: list[tuple[QuotaAgent, Path]] = []
        self._disk_no = self._call_no = 0
        self._people = random.Random(f"people {seed}")

    @contextmanager
    def living(self, patches: tuple[Patch, ...] = ()) -> Iterator[None]:
        """Puts virtual time in place, and the world into it, for as long as the block runs."""
        hub = self.hub
        made = lease_asker._Waiting
        stand_ins: tuple[Patch, ...] = (
            (connector, "IngestClient", lambda *a, **k: Channel(hub.process.agent, *a, **k)),
            (lease_asker, "_Waiting", virtual_waiting(hub, made)),
            (silence, "RESTORE_QUARANTINE", QUARANTINE),
            *patches,
        )
        store = open_store("sqlite://")
        with virtual_modules(hub, (*MODULES, *SERVER_MODULES)), patched(stand_ins):
            try:
                self._settle_down(store)
                yield
            finally:
                hub.kill_all()
                for agent in self.agents:
                    agent.close()
                self.server.close()
                store.close()

    def _settle_down(self, store: Any) -> None:
        source = self.world.source
        self.server = QuotaServer(
            self.world, store=store, start=self.start, replica_count=source.choice((1, 2))
        )
        if self.kinds.has_money:
            sell_to_buyers(store)
        for customer in self.customers:
            for limit in self._limits():
                self._set_limit(customer, limit)
        database.open_writer(self._template).close()
        for number in range(source.choice((1, 2, 2, 3))):
            self._add_agent(f"agent-{number}", TOKENS[number], self._fresh_disk())
        with store.write() as unit:  # A restored server would wait for those that never come.
            for token in TOKENS[len(self.agents) :]:
                unit.agents.revoke(f"agt-{token}", at=self.server.clock.now())
        self.services = Services(self.hub, truth=self.truth, agents=self.agents)

    def _limits(self) -> list[Limit]:
        """Returns the limits of the next customer."""
        limits = drawn_limits(self.world.source)
        if self.kinds.has_money:
            limits.append(drawn_money_limit(self._money))
        if self.kinds.has_rolling:
            limits.append(drawn_rolling_limit(self._rolling))
        return limits

    def _fresh_disk(self) -> Path:
        path = self._next_path()
        path.write_bytes(self._template.read_bytes())
        connection = sqlite3.connect(path)
        connection.execute("UPDATE agent_state SET disk_id = ?", (self.world.fresh_bytes(),))
        connection.commit()
        connection.close()
        return path

    def _next_path(self) -> Path:
        self._disk_no += 1
        return self._directory / f"disk-{self._disk_no}.db"

    def _add_agent(self, name: str, token: str, path: Path) -> None:
        agent = QuotaAgent(
            self.world,
            self.hub,
            name=name,
            token=token,
            path=path,
            server=self.server,
            truth=self.truth,
            start=self.start,
        )
        self.agents.append(agent)

    def run(self) -> QuotaResult:
        """Lives through the faults, heals, and judges.

        Raises:
            Violation: A promise was broken.
        """
        world, source = self.world, self.world.source
        for _ in range(source.randint(15, 40)):
            world.after(source.random() * FAULT_SECONDS, self._call)
        for _ in range(source.randint(0, 4)):
            world.after(source.random() * FAULT_SECONDS, self._record)
        for _ in range(source.randint(2, 8) if world.weather.kinds else 0):
            world.after(source.random() * FAULT_SECONDS, self._fault)
        if self._people.random() < 0.25:
            world.after(self._people.random() * FAULT_SECONDS, self._forget)
        if self.worst:
            world.after(source.random() * FAULT_SECONDS / 2, self._prepare_worst)
            world.after((1 + source.random()) * FAULT_SECONDS / 2, self._do_worst)
        world.run(FAULT_SECONDS)
        world.heal()
        if self.kinds.has_rolling:
            self._live_on()
        world.run(world.now + LATE_SECONDS)
        judge_use(self)
        judge_rest(self)
        judge_use(self)
        if self.truth.is_straight:
            self.truth.judge_rates()
        truth = self.truth
        return QuotaResult(
            1, world.truth.steps, len(truth.costs), truth.answers, world.truth.faults
        )

    def _live_on(self) -> None:
        """Lets calls go on while a rolling window frees what was used in it."""
        source = self._rolling
        for _ in range(source.randint(15, 40)):
            self.world.after(source.random() * ROLLING_LIFE_SECONDS, self._call)
        self.world.run(self.world.now + ROLLING_LIFE_SECONDS)

    def _call(self) -> None:
        plan = drawn_plan(self.world.source, self.customers, most=25)
        if self.kinds.has_money and self.kinds.is_tidy:
            plan = tidied(plan)
        self._call_no += 1
        name = f"r-{self._call_no}"
        self.services.begin(lambda: self.services.call(name, plan))

    def _record(self) -> None:
        source = self.world.source
        self._call_no += 1
        event_id, customer = f"e-{self._call_no}", source.choice(self.customers)
        amount = source.randint(1, 10)
        if self.kinds.has_money and self.kinds.is_tidy:
            return
        self.services.begin(lambda: self.services.record(event_id, customer, amount))

    # --- what goes wrong, and what people change

    def _fault(self) -> None:
        world, source = self.world, self.world.source
        kind = source.choice(world.weather.kinds)
        agent = source.choice(self.agents)
        seconds = source.choice((0.5, 5.0, 40.0)) * source.random()
        happenings: dict[str, Callable[[], Any]] = {
            "agent crash": lambda: agent.crash(seconds=seconds),
            "host rebooted": lambda: (agent.crash(seconds=seconds), agent.clock.boot()),
            "agent paused": lambda: setattr(agent.process, "paused_until", world.now + seconds),
            "slow fsync": lambda: self._switch(agent, "is_slow", seconds),
            "disk full": lambda: self._switch(agent, "is_full", seconds),
            "one-way partition": lambda: self._partition(agent, seconds),
            "server crash": lambda: self.server.crash_replica(
                source.choice(self.server.replicas), seconds=seconds
            ),
            "clock step": lambda: setattr(
                agent.clock, "offset_seconds", source.choice((-3_600.0, -200.0, 200.0, 3_600.0))
            ),
            "limit changed": self._change_limit,
        }
        happenings[kind]()
        world.truth.faults[kind] += 1

    def _switch(self, agent: QuotaAgent, name: str, seconds: float) -> None:
        setattr(agent, name, True)
        self.world.after(seconds, lambda: setattr(agent, name, False))

    def _partition(self, agent: QuotaAgent, seconds: float) -> None:
        server = self.world.source.choice(self.server.replicas).name
        ways = (
            (agent.name, server),
            (server, agent.name),
            ("caller", agent.name),
            (agent.name, "caller"),
        )
        self.world.block(*self.world.source.choice(ways), seconds=seconds)

    def _set_limit(self, customer: str, limit: Limit) -> None:
        self.truth.limit_set(customer, limit)
        self.server.set_limit(customer, limit)

    def _change_limit(self) -> None:
        source = self.world.source
        customer, key = source.choice(sorted(self.truth.limits))
        limit = self.truth.limits[customer, key]
        if key not in {"rate", "slots"}:
            self._set_limit(customer, replace(limit, maximum=drawn_maximum(source, limit)))

    def _forget(self) -> None:
        self.server.forget(self._people.choice(self.agents).token)
        self.world.truth.faults["agent forgotten"] += 1

    def _prepare_worst(self) -> None:
        agent = self.world.source.choice(self.agents)
        if self.worst == "disk rolled back":
            path = self._next_path()
            agent.copy_disk(path)
            self._snapshots.append((agent, path))
        elif self.worst in {"server restored", "restored unnoticed"}:
            self.server.take_backup()

    def _do_worst(self) -> None:
        worst, source = self.worst, self.world.source
        agent = source.choice(self.agents)
        if worst == "disk rolled back":
            agent, path = self._snapshots[0]
            self._allow_rests(agent)
            agent.change_disk(path)
        elif worst == "live clone":
            self._allow_rests(agent)
            path = self._next_path()
            agent.copy_disk(path)
            agent.lineage += 1
            self._add_agent(f"{agent.name}-clone", agent.token, path)
        elif worst == "disk lost":
            agent.change_disk(self._fresh_disk())
        else:
            self._restore(is_noticed=worst == "server restored")
        self.world.truth.faults[worst] += 1

    def _allow_rests(self, agent: QuotaAgent) -> None:
        """What a copy of a disk may spend once more: what the server holds for it."""
        disk_id = disk_id_of(agent.path)
        for key, rest in self.server.rests(disk_id).items():
            self.truth.allow(key, rest)

    def _restore(self, *, is_noticed: bool) -> None:
        before = self.server.granted()
        self.server.restore(is_noticed=is_noticed)
        known = self.server.granted()
        forgotten = {
            name: (key, amount - known[name][1] if name in known else amount)
            for name, (key, amount) in before.items()
        }
        # What people set does not go back with the data.
        for (customer, _), limit in sorted(self.truth.limits.items()):
            self.server.set_limit(customer, limit)
        if not is_noticed:
            self._allow_forgotten(forgotten.values())
            return
        seconds = QUARANTINE.total_seconds()
        self.world.after(seconds, lambda: self._allow_unheard(forgotten))

    def _allow_unheard(self, forgotten: dict[tuple[bytes, bytes], tuple[Any, int]]) -> None:
        """A restored server waits for its agents, but not for ever."""
        heard = self.server.heard_disks()
        self._allow_forgotten(
            each for (disk_id, _), each in forgotten.items() if disk_id not in heard
        )

    def _allow_forgotten(self, forgotten: Any) -> None:
        for key, amount in forgotten:
            self.truth.allow(key, max(0, amount))


def disk_id_of(path: Path) -> bytes:
    """Returns the identity of a disk."""
    connection = sqlite3.connect(path)
    [disk_id] = connection.execute("SELECT disk_id FROM agent_state").fetchone()
    connection.close()
    return bytes(disk_id)


@contextmanager
def patched(patches: tuple[Patch, ...]) -> Iterator[None]:
    """Puts stand-ins in place for as long as the block runs."""
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    for module, name, stand_in in patches:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for module, name, found in reversed(before):
            setattr(module, name, found)


def play(seed: int, *, directory: Path, mutant: tuple[Patch, ...] = ()) -> QuotaResult:
    """Lives through the world of a seed.

    Args:
        seed: Of the world.
        directory: Empty.
        mutant: What is broken in it.

    Raises:
        Violation: A promise was broken; the message begins with the seed.
    """
    fleet = QuotaFleet(seed, directory=directory)
    try:
        with fleet.living(mutant):
            return fleet.run()
    except Violation as violation:
        faults = {name: count for name, count in fleet.world.truth.faults.items() if count}
        raise Violation(
            f"seed {seed} at {fleet.world.now:.3f} s: {violation}\n{faults}\n{fleet.world.weather}"
        ) from violation
