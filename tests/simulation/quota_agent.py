"""An agent of a simulated fleet under limits: the real agent, its threads on virtual time.

Writer, shipper, lease side, keeper and desk are wired as in the program, over a real SQLite file;
only threads, time, chance and the channel to the server are those of the simulation.
"""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from meter_agent.config import AgentSettings
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.core.retention import Retention
from meter_agent.quota import keeper
from meter_agent.quota_wiring import QuotaParts
from meter_agent.store import (
    admission,
    applied_watch,
    commit_times,
    database,
    group,
    reader,
    writer,
)
from meter_agent.store.admission import AdmissionControl
from meter_agent.store.ballast import Ballast
from meter_agent.store.group import Append
from meter_agent.store.operation import CommitResult
from meter_agent.store.outbox import Outbox
from meter_agent.store.reader import OutboxReader
from meter_agent.store.writer import Writer
from meter_agent.uplink import connector, lease_asker, lease_state, lease_syncer, shipper
from meter_agent.uplink.settings import UplinkSettings
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.token import TokenSource
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.errors import InvariantError, MeteringError
from tests.simulation.fleet_world import World
from tests.simulation.quota_server import QuotaServer
from tests.simulation.quota_truth import QuotaTruth
from tests.simulation.virtual_threads import (
    Hub,
    Killed,
    Process,
)

MODULES = (
    admission,
    applied_watch,
    commit_times,
    connector,
    group,
    keeper,
    lease_asker,
    lease_state,
    lease_syncer,
    reader,
    shipper,
    writer,
)
"""What of the agent knows of threads, of chance, or logs what is a bug."""
FSYNC_SECONDS = 0.002


class HostClock:
    """A host's clocks: one that people set, and one since its boot."""

    def __init__(self, world: World, start: datetime) -> None:
        self._world, self._start = world, start
        self.offset_seconds = 0.0
        self.boot_id = "boot-0"
        self._boot_count = 0
        self._booted_at = -1_000.0

    def boot(self) -> None:
        """Begins another boot of the machine."""
        self._boot_count += 1
        self.boot_id = f"boot-{self._boot_count}"
        self._booted_at = self._world.now - 5.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._world.now + self.offset_seconds)

    def monotonic(self) -> float:
        return self._world.now

    def now_us(self) -> int:
        return round((self._world.now - self._booted_at) * 1_000_000)

    def wall_us(self) -> int:
        return round(self.now().timestamp() * 1_000_000)


class FleetProcess(Process):
    """A process of an agent."""

    def __init__(self, agent: "QuotaAgent") -> None:
        super().__init__(agent.name)
        self.agent = agent


class SlowOutbox(Outbox):
    """The real buffer, whose commits take time, fail on a full disk, and may kill the process."""

    agent: "QuotaAgent"

    def commit(self, appends: Any, **changes: Any) -> CommitResult:
        agent, world = self.agent, self.agent.world
        agent.hub.sleep(agent.commit_seconds())
        operations = changes.get("operations", ())
        agent.die_perhaps("before")
        if agent.is_full and not world.is_healed:
            has_events = bool(appends) or any(each.event_count for each in operations)
            if has_events or world.source.random() < 0.5:
                world.truth.faults["commit refused by a full disk"] += 1
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise full
        try:
            result = super().commit(appends, **changes)
        except Exception as error:
            agent.hub.fail(f"{agent.name}: a commit failed: {error!r}")
            raise
        for _, refusal in result.refused:
            if isinstance(refusal, InvariantError):
                agent.hub.fail(f"{agent.name}: {refusal}")
        agent.committed(result.appends)
        agent.die_perhaps("after")
        return result


class QuotaAgent:
    """One agent of the fleet; a restart makes a new process over the same disk.

    Args:
        world: Time and chance.
        hub: Runs its threads.
        name: As enrolled; a live copy has another one here, and the same token.
        token: The agent's.
        path: Of its database, which exists.
        server: What it talks to.
        truth: Sees what becomes durable.
        start: When virtual time begins, UTC.
    """

    def __init__(
        self,
        world: World,
        hub: Hub,
        *,
        name: str,
        token: str,
        path: Path,
        server: QuotaServer,
        truth: QuotaTruth,
        start: datetime,
    ) -> None:
        self.world, self.hub, self.name, self.token = world, hub, name, token
        self.path, self.server, self.truth = path, server, truth
        self.clock = HostClock(world, start)
        self.lineage = 0
        self.is_up = self.is_slow = self.is_full = False
        addresses = [f"unix:/{each.name}" for each in server.replicas]
        world.source.shuffle(addresses)
        self._settings = AgentSettings(
            server=",".join(addresses),
            token=token,
            data_dir=path.parent,
            reservation_late_seconds=truth.late_seconds,
            call_seconds_max=world.source.choice((1.0, 5.0, 30.0)),
            retry_seconds_max=world.source.choice((5.0, 60.0)),
        )
        self.start()

    # --- the process

    def start(self) -> None:
        """Starts the process, if it is not running."""
        if self.is_up:
            return
        self.is_up = True
        self.process = FleetProcess(self)
        with self.hub.building(self.process):
            self._build()
            self.writer.start()
            self._shipper.start()
            self.parts.start()

    def _build(self) -> None:
        connection = database.connect_writer(self.path)
        connection.execute("PRAGMA synchronous = OFF")
        self.outbox = SlowOutbox(self.path, connection=connection)
        self.outbox.agent = self
        self.outbox.retention = Retention(seconds=86_400, bytes_max=2**30)
        self.outbox.now_us = self.clock.wall_us
        self.writer = Writer(
            self.outbox,
            admission=AdmissionControl(
                budget=DiskBudget(2**30), ballast=Ballast(self.path.parent, size_bytes=0)
            ),
            on_append=self._notify,
        )
        self.parts = QuotaParts(
            self._settings, writer=self.writer, clock=self.clock, lease_clock=self.clock
        )
        self._reader = OutboxReader(self.path)
        self._shipper = Shipper(
            UplinkSettings(
                server=self._settings.server,
                agent_version="1",
                call_seconds=self._settings.call_seconds_max,
            ),
            writer=self.writer,
            reader=self._reader,
            tokens=TokenSource(token_file=None, token=self.token),
            clock=self.clock,
            leases=self.parts.state,
        )
        self.parts.attach(self._shipper)

    def _notify(self) -> None:
        self._shipper.notify()

    def crash(self, *, seconds: float | None = None) -> None:
        """Kills the process; it starts again after a while."""
        if self.is_up:
            self.is_up = False
            self.hub.kill(self.process)
            self.close()
        if seconds is None:
            seconds = self.world.source.random() * 5.0
        self.world.after(seconds, self.start)

    def close(self) -> None:
        """Closes what is open, as the end of a process does."""
        self.outbox._connection.close()
        self._reader.close()

    def copy_disk(self, path: Path) -> None:
        """Copies the disk as it is now."""
        source, target = sqlite3.connect(self.path), sqlite3.connect(path)
        source.backup(target)
        source.close()
        target.close()

    def change_disk(self, path: Path) -> None:
        """Goes on over another disk."""
        self.lineage += 1
        self.crash()
        self.path = path

    def die_perhaps(self, moment: str) -> None:
        """Kills the process where the weather says so; called in its writer's thread."""
        if self.world.happens(self.world.weather.crash_at_commit, f"agent crash {moment} a commit"):
            self.crash()
        if self.process.is_dead:
            raise Killed

    def commit_seconds(self) -> float:
        """How long a commit takes."""
        if self.is_slow and not self.world.is_healed:
            return self.world.source.random() * 3.0
        return FSYNC_SECONDS * (0.5 + self.world.source.random())

    # --- what an onlooker sees

    def committed(self, appends: Iterable[Append]) -> None:
        """Notes what has become durable."""
        book = self.parts.counter.book
        for append in appends:
            for event in UsageEvents.FromString(append.events).events:
                problem = self.truth.recorded(event, agent=self.name, leases=book.all_leases())
                if problem:
                    self.hub.fail(f"{self.name}: {problem}")
        self.truth.looked_at(self.name, lambda name: book.held_reservation(name) is not None)
        if problem := self.truth.problem_of_holds(book.all_leases(), book.all_reservations()):
            self.hub.fail(f"{self.name}: {problem}")

    def watch(self, disk_id: bytes, *, lineage: int) -> Callable[[], None]:
        """Notes what is granted to a call of a disk that has gone back since.

        Args:
            disk_id: That the call named.
            lineage: Of the disk, when the call was sent.
        """
        if lineage == self.lineage:
            return lambda: None
        before = self.server.rests(disk_id)

        def done() -> None:
            for key, rest in self.server.rests(disk_id).items():
                self.truth.allow(key, max(0, rest - before.get(key, 0)))

        return done

    # --- calls of services

    def serve(self, work: "Callable[[QuotaAgent], Any]", *, reply: Callable[[Any], None]) -> None:
        """Handles a call of a service in a thread of the process.

        Args:
            work: Done with the agent.
            reply: Takes what it returned, or the error that it raised.
        """
        if not self.is_up:
            return

        def handle() -> None:
            try:
                answer = work(self)
            except MeteringError as error:
                answer = error
            reply(answer)

        self.hub.run(self.process, handle)
