"""The gRPC server that agents call: threaded, bounded, with health of each service."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from billing_server.domain.ports.unit_of_work import Store
from billing_server.edge.grpc.ingest_service import IngestService
from billing_server.edge.grpc.lease_service import LeaseService
from billing_server.edge.grpc.tls import ServerTls, TlsFiles
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.usage_payload import PUSH_BYTES_MAX
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2, lease_pb2_grpc
from metering.clock import Clock
from metering.errors import UnavailableError
from metering.rpc import ErrorInterceptor

THREAD_COUNT_MAX: Final = 16
"""Calls that are worked on at once: counting is bound by one processor and one writer."""
CALL_COUNT_MAX: Final = 1_024
"""Calls at once, waiting ones included; more are answered RESOURCE_EXHAUSTED."""
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
    ) -> None:
        self._credentials = None if tls is None else ServerTls(tls).credentials()
        self._health = health.HealthServicer()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=THREAD_COUNT_MAX, thread_name_prefix="ingest"),
            interceptors=[ErrorInterceptor()],
            maximum_concurrent_rpcs=CALL_COUNT_MAX,
            options=_server_options(connection_age_seconds_max),
        )
        service = IngestService(
            store=store,
            clock=clock,
            ingester=ingester or UsageIngester(store=store, clock=clock),
        )
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(  # type: ignore[no-untyped-call]
            service, self._server
        )
        lease_pb2_grpc.add_LeaseServiceServicer_to_server(  # type: ignore[no-untyped-call]
            LeaseService(), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflection_mode is Reflection.ON:
            names: Sequence[str] = (
                *SERVICE_NAMES,
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            )
            reflection.enable_server_reflection(names, self._server)
        self.port: Final = self._bind(listen)

    def start(self) -> None:
        """Begins to serve."""
        self._server.start()
        for name in ("", *SERVICE_NAMES):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Says NOT_SERVING, takes no new calls, lets those in flight end within a bound."""
        self._health.enter_graceful_shutdown()
        self._server.stop(STOP_SECONDS).wait()

    def _bind(self, listen: str) -> int:
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
