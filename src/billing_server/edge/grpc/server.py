"""The gRPC server that agents call: bounded, with health of each service.

One event loop in a thread of its own takes the calls. Counting runs in a few worker threads, lease
work in others, so that quota never waits behind the backlog of events. A sync of leases that waits
for news waits in the loop, where it holds no thread and no transaction: any number of agents may.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Final, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from billing_server.domain.ports.unit_of_work import Store
from billing_server.edge.grpc.ingest_service import IngestService
from billing_server.edge.grpc.lease_bell import LeaseBell
from billing_server.edge.grpc.lease_service import HANG_SECONDS, LeaseService
from billing_server.edge.grpc.tls import ServerTls, TlsFiles
from billing_server.services.context import ServiceContext
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.lease_desk import LeaseDesk
from billing_server.services.usage_payload import PUSH_BYTES_MAX
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2, lease_pb2_grpc
from metering.clock import Clock
from metering.errors import UnavailableError
from metering.rpc import AioErrorInterceptor

THREAD_COUNT_MAX: Final = 16
"""Pushes that are worked on at once: counting is bound by one processor and one writer."""
LEASE_THREAD_COUNT_MAX: Final = 4
"""Lease calls that are worked on at once, beside the pushes; each takes a few milliseconds."""
CALL_COUNT_MAX: Final = 4_096
"""Calls at once, waiting ones included; more are answered RESOURCE_EXHAUSTED. Each agent has one
sync that waits, which costs some kilobytes."""
CONNECTION_AGE_SECONDS_MAX: Final = 1_800.0
"""After it, ± 10 %, a connection is asked to end once its calls are answered: agents then spread
anew over the servers behind a balancer, and never all at once."""
CONNECTION_GRACE_SECONDS: Final = 60.0
"""How long calls on such a connection may still take: more than the deadline of any."""
PING_SECONDS_MIN: Final = 10
"""Agents may ping an idle connection this often: they keep it open across address translators."""
STOP_SECONDS: Final = 10.0
"""How long calls in flight may still take at a stop."""
# Above the bound of a push, so that one that passes it is answered with a message that names it.
_MESSAGE_BYTES_MAX: Final = 2 * PUSH_BYTES_MAX

SERVICE_NAMES: Final = (
    ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name,
    lease_pb2.DESCRIPTOR.services_by_name["LeaseService"].full_name,
)


T = TypeVar("T")


class Reflection(Enum):
    """Whether the server describes its services to tools that ask."""

    OFF = "off"
    ON = "on"


class IngestServer:
    """Serves agents on one address.

    Args:
        store: The database.
        clock: Tells the time.
        listen: `HOST:PORT`; port 0 lets the system choose.
        tls: Certificates; None: plain text.
        connection_age_seconds_max: Age at which connections are renewed, seconds, > 0; ± 10 %.
        reflection_mode: Off by default: only tools need it.
        ingester: Shares compiled terms with other parts; None: its own.
        random_bytes: Makes ids of leases.
        hang_seconds: How long a sync of leases waits for news, at most.

    Raises:
        UnavailableError: PORT_IN_USE.
        ValidationError: TLS_FILE_UNUSABLE.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        listen: str,
        tls: TlsFiles | None = None,
        connection_age_seconds_max: float = CONNECTION_AGE_SECONDS_MAX,
        reflection_mode: Reflection = Reflection.OFF,
        ingester: UsageIngester | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._credentials = None if tls is None else ServerTls(tls).credentials()
        self._health = health.aio.HealthServicer()
        self._desk = LeaseDesk(store=store, clock=clock, random_bytes=random_bytes)
        self._context = ServiceContext(store=store, clock=clock, random_bytes=random_bytes)
        self._ingester = ingester or UsageIngester(store=store, clock=clock)
        self._hang_seconds = hang_seconds
        self._push_threads = ThreadPoolExecutor(THREAD_COUNT_MAX, thread_name_prefix="ingest")
        self._lease_threads = ThreadPoolExecutor(LEASE_THREAD_COUNT_MAX, thread_name_prefix="lease")
        self._loop = _LoopThread()
        self._bell = LeaseBell(store.news, loop=self._loop.loop)
        try:
            self._server = self._loop.run(
                self._make(reflection_mode, age_seconds_max=connection_age_seconds_max)
            )
            self.port: Final = self._loop.run(self._bind(listen))
        except BaseException:
            self._end()
            raise

    def start(self) -> None:
        """Begins to serve."""
        self._loop.run(self._start())

    def stop(self) -> None:
        """Says NOT_SERVING, takes no new calls, lets those in flight end within a bound.

        Syncs that wait for news are ended at once: their agents call another server. A second stop
        does nothing.
        """
        if self._loop.loop.is_closed():
            return
        self._loop.run(self._stop())
        self._end()

    async def _make(
        self, reflection_mode: Reflection, *, age_seconds_max: float
    ) -> grpc.aio.Server:
        server = grpc.aio.server(
            migration_thread_pool=self._push_threads,
            interceptors=[AioErrorInterceptor()],
            maximum_concurrent_rpcs=CALL_COUNT_MAX,
            options=_server_options(age_seconds_max),
        )
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(  # type: ignore[no-untyped-call]
            IngestService(context=self._context, ingester=self._ingester), server
        )
        self._leases = LeaseService(
            desk=self._desk,
            bell=self._bell,
            threads=self._lease_threads,
            hang_seconds=self._hang_seconds,
        )
        lease_pb2_grpc.add_LeaseServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._leases, server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if reflection_mode is Reflection.ON:
            names: Sequence[str] = (
                *SERVICE_NAMES,
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            )
            reflection.enable_server_reflection(names, server)
        return server

    async def _start(self) -> None:
        await self._server.start()
        for name in ("", *SERVICE_NAMES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _stop(self) -> None:
        await self._health.enter_graceful_shutdown()
        self._leases.end_waiting()
        await self._server.stop(STOP_SECONDS)

    async def _bind(self, listen: str) -> int:
        try:
            if self._credentials is not None:
                return self._server.add_secure_port(listen, self._credentials)
            return self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise UnavailableError(
                reason="PORT_IN_USE",
                message=f"grpc-listen: cannot listen on {listen}: stop what uses the port (see "
                "`ss -ltnp`), or name another address with --grpc-listen HOST:PORT",
                metadata={"address": listen},
            ) from error

    def _end(self) -> None:
        self._bell.close()
        self._push_threads.shutdown()
        self._lease_threads.shutdown()
        self._loop.close()


class _LoopThread:
    """An event loop that runs in a thread of its own, called from others."""

    def __init__(self) -> None:
        self.loop: Final = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the loop and returns what it comes to."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        """Ends the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


def _server_options(connection_age_seconds_max: float) -> tuple[tuple[str, int], ...]:
    return (
        # Without it two servers could share one port and take each other's calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
        # The library itself spreads the age by ± 10 %.
        ("grpc.max_connection_age_ms", round(connection_age_seconds_max * 1_000)),
        ("grpc.max_connection_age_grace_ms", round(CONNECTION_GRACE_SECONDS * 1_000)),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_SECONDS_MIN * 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # The other side of a connection that broke without a word is given up as well.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    )
