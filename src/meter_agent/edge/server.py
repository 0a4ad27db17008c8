"""The gRPC server of the agent: threaded, because it was the fastest (ADR 0003)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from meter_agent.edge.addresses import Address, open_socket, prepare_socket
from meter_agent.edge.agent_service import REQUEST_BYTES_MAX, AgentService
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.errors import InvalidStateError
from metering.rpc import ErrorInterceptor

Handler = Any
"""A method handler of grpcio, which gives it no useful type."""

SERVICE_NAME: Final = agent_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name
THREAD_COUNT_MAX: Final = 160
"""Calls that wait for one commit together; threads are made as they are needed."""
CALL_COUNT_MAX: Final = 512
"""Calls at once; more are answered RESOURCE_EXHAUSTED, so memory stays bounded."""
STOP_SECONDS: Final = 5.0
"""How long calls in flight may still take at a stop."""
# Above the contract's bound, so that a request that passes it gets an answer that names it.
_MESSAGE_BYTES_MAX: Final = 2 * REQUEST_BYTES_MAX


class AgentServer:
    """Serves the agent's methods, health and reflection on a set of addresses.

    Args:
        service: The methods.
        addresses: Where to listen, at least one.
        socket_group: Group that may use the sockets; empty: that of the process.

    Raises:
        MeteringError: An address cannot be used; the message names it and the remedy.
    """

    def __init__(
        self, service: AgentService, *, addresses: Sequence[Address], socket_group: str = ""
    ) -> None:
        self._health = health.HealthServicer()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=THREAD_COUNT_MAX, thread_name_prefix="call"),
            maximum_concurrent_rpcs=CALL_COUNT_MAX,
            options=(
                # Without it two agents could share one port and take each other's calls.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
            ),
        )
        self._register(service)
        self._sockets: dict[Path, tuple[int, ...]] = {}
        try:
            self.bound: Final = tuple(self._bind(item, group=socket_group) for item in addresses)
        except BaseException:
            self._release()
            raise

    def start(self) -> None:
        """Begins to serve."""
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)

    def announce_stop(self) -> None:
        """Says NOT_SERVING from now on, and goes on to serve: callers look for another agent."""
        self._health.enter_graceful_shutdown()

    def stop(self) -> None:
        """Says NOT_SERVING, takes no new calls, lets those in flight end within a bound."""
        self.announce_stop()
        self._server.stop(STOP_SECONDS).wait()
        self._release()

    def _release(self) -> None:
        """Gives ports and sockets free."""
        self._server.stop(None).wait()
        for path, identity in self._sockets.items():
            # By now a successor may listen under the same path.
            if _socket_identity(path) == identity:
                path.unlink(missing_ok=True)

    def _register(self, service: AgentService) -> None:
        collector = _HandlerCollector()
        agent_pb2_grpc.add_AgentServiceServicer_to_server(  # type: ignore[no-untyped-call]
            service, collector
        )
        handlers = dict(collector.handlers)
        # Without (de)serializers the handler gets and gives bytes; see `record_usage`.
        handlers["RecordUsage"] = grpc.unary_unary_rpc_method_handler(service.answer_record_usage)
        guarded = {name: _with_errors_mapped(name, handlers[name]) for name in handlers}
        self._server.add_registered_method_handlers(SERVICE_NAME, guarded)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def _bind(self, address: Address, *, group: str) -> Address:
        path = address.socket_path
        if path is not None:
            prepare_socket(path)
        try:
            port = self._server.add_insecure_port(address.target)
        except RuntimeError as error:
            raise InvalidStateError(
                reason="ADDRESS_IN_USE",
                message=f"--listen {address.target} cannot be bound: the port is in use, or the "
                "host is not one of this machine; stop the other process (see `ss -ltnp`), or give "
                "another address with --listen",
                metadata={"address": address.target},
            ) from error
        if path is not None:
            self._sockets[path] = _socket_identity(path)
            open_socket(path, group=group)
            self._sockets[path] = _socket_identity(path)
            return address
        return Address(host=address.host, port=port)


def _socket_identity(path: Path) -> tuple[int, ...]:
    """Returns what tells a socket from a later one of the same name; empty where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return ()
    # An inode's number alone may be used again at once.
    return (found.st_dev, found.st_ino, found.st_ctime_ns)


@dataclass(slots=True)
class _CallDetails:
    """What the interceptor is told of a method."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class _HandlerCollector:
    """Takes the generated method handlers, so that one of them can be replaced."""

    def __init__(self) -> None:
        self.handlers: Mapping[str, Handler] = {}

    def add_registered_method_handlers(
        self, _: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        self.handlers = method_handlers

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Takes the older form of the same handlers, which is not needed."""


def _with_errors_mapped(name: str, handler: Handler) -> Handler:
    """Returns the handler with its errors mapped, once, instead of anew with each call."""
    details = _CallDetails(method=f"/{SERVICE_NAME}/{name}")
    guarded = ErrorInterceptor().intercept_service(lambda _: handler, details)
    return handler if guarded is None else guarded
