"""The server of a simulated fleet under limits: the real one, from its edge down, on virtual time.

One or two replicas share a database, and nothing else: each has its own caches, dies by itself, and
hears of news as the real one does. The coroutines of its edge are driven step by step.
"""

import secrets
from collections.abc import Callable, Collection, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.ports.agents import Agent
from billing_server.edge.grpc import lease_service
from billing_server.edge.grpc.ingest_service import IngestService
from billing_server.edge.grpc.lease_service import HANG_SECONDS, LeaseService
from billing_server.services.context import ServiceContext
from billing_server.services.forget_agent import forget_agent
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.lease_desk import LeaseDesk
from billing_server.services.set_limits import set_limit
from billing_server.services.tidy_limits import EVERY, LimitTidying
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import MeteringError
from tests.simulation.fleet_services import ServiceServer
from tests.simulation.fleet_world import World
from tests.simulation.virtual_threads import MOMENT

SERVER_MODULES = (lease_service,)
"""What of the server's edge reads the time."""
Rests = dict[WindowKey, int]


class Refused(NamedTuple):
    """An error that a server answered; None: nobody listens there."""

    error: MeteringError | None


class ServerClock:
    """The time of every replica."""

    def __init__(self, world: World, start: datetime) -> None:
        self._world, self._start = world, start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._world.now)

    def monotonic(self) -> float:
        return self._world.now


@dataclass(eq=False)
class Waiter:
    """A call that waits for news of customers."""

    rung: set[str] = field(default_factory=set)
    wake: Callable[[], None] | None = None

    async def wait(self, *, seconds: float) -> frozenset[str]:
        return await Pause(self, seconds)


class Pause(NamedTuple):
    """What a call is driven by: it goes on when its waiter is rung, or after a while."""

    waiter: Waiter
    seconds: float

    def __await__(self) -> Generator["Pause", Any, frozenset[str]]:
        rung = yield self
        return rung or frozenset()


class Bell:
    """Stands in for `LeaseBell`: rings the calls that wait at one replica."""

    def __init__(self) -> None:
        self._waiters: dict[Waiter, frozenset[str]] = {}

    @contextmanager
    def waiting_for(self, customer_ids: Collection[str]) -> Iterator[Waiter]:
        waiter = Waiter()
        self._waiters[waiter] = frozenset(customer_ids)
        try:
            yield waiter
        finally:
            del self._waiters[waiter]

    def ring(self, customer_id: str) -> None:
        """Lets whoever waits for a customer look."""
        for waiter, customers in tuple(self._waiters.items()):
            if customer_id in customers:
                waiter.rung.add(customer_id)
                if waiter.wake is not None:
                    waiter.wake()


class Ingest(IngestService):
    """The real service; who calls is known."""

    def _agent(self, context: Any) -> Agent:
        return context


class Leases(LeaseService):
    """The real service; what touches the database is done at once."""

    async def _agent(self, context: Any) -> Agent:
        return context

    async def _run(self, work: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        return work(*arguments, **keywords)


class Replica:
    """One process of the server, until it dies."""

    def __init__(self, name: str, *, start: Callable[[], tuple[Bell, Leases, Ingest]]) -> None:
        self.name = name
        self.epoch = 0
        self.is_up = True
        self._start = start
        self.bell, self._leases, self._ingest = start()

    def crash(self) -> None:
        """Ends the process; another one will begin with empty caches."""
        self.epoch += 1
        self.is_up = False
        self.bell, self._leases, self._ingest = self._start()

    async def answer(self, method: str, request: Any, agent: Agent) -> Any:
        """Answers a call."""
        if method in ("OpenSession", "PushUsage"):
            return getattr(self._ingest, method)(request, agent)
        return await getattr(self._leases, method)(request, agent)


class QuotaServer(ServiceServer):
    """One or two replicas over one database in memory.

    Args:
        world: Time and chance.
        store: An empty database in memory.
        start: When virtual time begins, UTC.
        replica_count: How many.
    """

    def __init__(
        self, world: World, *, store: SqlStore, start: datetime, replica_count: int
    ) -> None:
        super().__init__(world, store=store)
        self.clock = ServerClock(world, start)
        self._hang_seconds = world.source.choice((HANG_SECONDS, 1.8 * HANG_SECONDS))
        self.context = ServiceContext(
            store=store, clock=self.clock, random_bytes=world.source.randbytes
        )
        self.replicas = [self._replica(f"server-{number}") for number in range(replica_count)]
        self._tidying = LimitTidying(self.context)
        store.news.listen(self._hear)
        world.after(EVERY.total_seconds(), self._tidy)

    @property
    def world(self) -> World:
        """Time and chance."""
        return self._world

    def _replica(self, name: str) -> Replica:
        store, clock = self._sql, self.clock

        def start() -> tuple[Bell, Leases, Ingest]:
            bell, random_bytes = Bell(), self._world.source.randbytes
            leases = Leases(
                desk=LeaseDesk(store=store, clock=clock, random_bytes=random_bytes),
                bell=bell,
                threads=None,
                hang_seconds=self._hang_seconds,
            )
            ingester = UsageIngester(store=store, clock=clock)
            return bell, leases, Ingest(context=self.context, ingester=ingester)

        return Replica(name, start=start)

    # --- what goes wrong

    def crash(self, *, seconds: float) -> None:
        """Ends every replica."""
        for replica in self.replicas:
            self.crash_replica(replica, seconds=seconds)

    def crash_replica(self, replica: Replica, *, seconds: float) -> None:
        """Ends one replica; it starts anew after a while, with empty caches."""
        replica.crash()
        self._world.after(seconds, lambda: setattr(replica, "is_up", True))

    def restore(self, *, is_noticed: bool) -> bool:
        """Goes back to a backup."""
        if not self._copies:
            return False
        _, copy = self._world.source.choice(self._copies)
        copy.backup(self._raw)
        self.crash(seconds=self._world.source.random() * 5.0)
        if is_noticed:
            with self._sql.write() as unit:
                unit.agents.renew_incarnation(secrets.token_hex(16), at=self.clock.now())
        return True

    # --- what people do

    def set_limit(self, customer_id: str, limit: Limit) -> None:
        """Sets a limit, as over the API."""
        set_limit(self.context, customer_id=customer_id, limit=limit, actor="people")

    def forget(self, name: str) -> None:
        """Gives an agent or a disk up: what its leases hold is presumed used."""
        forget_agent(self.context, name=name, actor="people")

    def _tidy(self) -> None:
        if any(replica.is_up for replica in self.replicas):
            self._tidying.look()
        self._world.after(EVERY.total_seconds(), self._tidy)

    # --- what an onlooker sees

    def rests(self, disk_id: bytes) -> Rests:
        """Returns what the server holds for a disk, by window."""
        rows = self._raw.execute(
            "SELECT customer_id, limit_key, window_id, SUM(MAX(0, granted - returned - l.settled)) "
            "FROM lease l JOIN agent a ON a.ref = l.agent_ref WHERE a.disk_id = ? "
            "AND limit_key <> '' GROUP BY 1, 2, 3",
            (disk_id,),
        )
        return {WindowKey(*row[:3]): row[3] for row in rows}

    def granted(self) -> dict[tuple[bytes, bytes], tuple[WindowKey, int]]:
        """Returns what was granted and not returned, by disk and lease."""
        rows = self._raw.execute(
            "SELECT a.disk_id, lease_id, customer_id, limit_key, window_id, granted - returned "
            "FROM lease l JOIN agent a ON a.ref = l.agent_ref WHERE limit_key <> ''"
        )
        return {(row[0] or b"", row[1]): (WindowKey(*row[2:5]), row[5]) for row in rows}

    def heard_disks(self) -> set[bytes]:
        """Returns the disks that have opened a session of the present incarnation."""
        rows = self._raw.execute(
            "SELECT disk_id FROM agent WHERE session_incarnation = ?", (self.incarnation,)
        )
        return {row[0] for row in rows}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns what a statement finds."""
        return self._raw.execute(sql).fetchall()

    def counted_events(self) -> list[UsageEvent]:
        """Returns every event that counts, as it came."""
        found = self.rows("SELECT payload FROM usage_event WHERE quarantine_reason IS NULL")
        return [UsageEvent.FromString(payload) for (payload,) in found]

    # --- calls

    def handle(
        self,
        replica: Replica,
        *,
        token: str,
        method: str,
        request: Any,
        reply: Callable[[Any], None],
        watch: Callable[[], Callable[[], None]],
    ) -> Callable[[], None]:
        """Begins to handle a call; returns what ends it early.

        Args:
            replica: That hears it.
            token: The agent's.
            method: As the service names it.
            request: The message.
            reply: Takes the answer's message, or what was refused.
            watch: Called before each step; what it returns, after it.
        """
        if not replica.is_up:
            if self._world.source.random() < 0.5:
                reply(Refused(None))
            return lambda: None
        call = _Call(self, replica, replica.answer(method, request, self._agents[token]), reply)
        call.watch = watch
        call.step(None)
        return call.cancel

    def _hear(self, customer_id: str) -> None:
        for replica in self.replicas:
            replica.bell.ring(customer_id)


class _Call:
    """One call in hand: its steps are transactions, before and after which a replica may die."""

    watch: Callable[[], Callable[[], None]]

    def __init__(
        self,
        server: QuotaServer,
        replica: Replica,
        work: Coroutine[Pause, Any, Any],
        reply: Callable[[Any], None],
    ) -> None:
        self._server, self._replica, self._epoch = server, replica, replica.epoch
        self._work, self._reply = work, reply
        self._turn = 0
        self._is_over = False

    def cancel(self) -> None:
        """Ends it without an answer, where it waits."""
        self._is_over = True
        self._work.close()

    def step(self, rung: frozenset[str] | None) -> None:
        """Goes on until it waits, or is answered."""
        if self._is_over or self._epoch != self._replica.epoch or self._dies("before"):
            self.cancel()
            return
        done = self.watch()
        pause, answer = None, None
        try:
            pause = self._work.send(rung)
        except StopIteration as stop:
            answer = stop.value
        except MeteringError as error:
            answer = Refused(error)
        done()
        if self._dies("after"):
            self.cancel()
        elif pause is None:
            self._is_over = True
            self._reply(answer)
        else:
            self._wait(pause)

    def _wait(self, pause: Pause) -> None:
        self._turn += 1
        turn, waiter, world = self._turn, pause.waiter, self._server.world

        def wake() -> None:
            if turn == self._turn:
                self._turn += 1
                rung, waiter.rung, waiter.wake = frozenset(waiter.rung), set(), None
                self.step(rung)

        waiter.wake = lambda: world.after(0.0, wake)
        if waiter.rung:
            waiter.wake()
        else:
            world.after(max(pause.seconds, MOMENT), wake)

    def _dies(self, moment: str) -> bool:
        world = self._server.world
        if not world.happens(world.weather.server_crash, f"server crash {moment} a commit"):
            return False
        self._server.crash_replica(self._replica, seconds=world.source.random() * 5.0)
        return True
