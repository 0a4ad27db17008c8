"""The admin port: /metrics, /livez and /readyz over plain HTTP, apart from what callers use."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from meter_agent.edge.addresses import Address, parse_address
from metering.errors import InvalidStateError, ValidationError

REQUEST_SECONDS: Final = 5.0
"""How long a client may take to send its request."""
CONNECTION_COUNT_MAX: Final = 64
"""Connections at once; more are closed unanswered, so memory stays bounded."""
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AdminPages:
    """What the port answers; each is called for each request and must not wait for the disk."""

    metrics: Callable[[], bytes]
    """The metrics in the text format of Prometheus."""
    metrics_content_type: str
    """Its content type."""
    why_not_live: Callable[[], str]
    """Why the agent must be restarted; empty where it need not."""
    why_not_ready: Callable[[], str]
    """Why no events should be sent; empty where they may."""


def parse_admin_address(text: str) -> Address:
    """Reads HOST:PORT.

    Raises:
        ValidationError: ADDRESS_MALFORMED, also for a socket: scrapers and probes speak TCP.
    """
    address = parse_address(text, flag="--admin-listen")
    if address.socket_path is not None:
        raise ValidationError(
            reason="ADDRESS_MALFORMED",
            message=f"--admin-listen {text}: metrics and probes need TCP; write HOST:PORT, e.g. "
            "127.0.0.1:4271",
        )
    return address


class AdminServer:
    """Serves the pages on a thread for each request.

    Args:
        address: Where to listen.
        pages: What to answer.

    Raises:
        InvalidStateError: ADDRESS_IN_USE.
    """

    def __init__(self, address: Address, *, pages: AdminPages) -> None:
        try:
            self._server = _Server(address, pages)
        except (OSError, OverflowError) as error:
            raise InvalidStateError(
                reason="ADDRESS_IN_USE",
                message=f"--admin-listen {address.target} cannot be bound ({error}); stop the "
                "other process (see `ss -ltnp`), or give another address with --admin-listen",
                metadata={"address": address.target},
            ) from error
        self.bound: Final = Address(host=address.host, port=self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="admin", daemon=True
        )

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Ends it and gives the port free."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Address, pages: AdminPages) -> None:
        self.pages = pages
        self.slots = threading.BoundedSemaphore(CONNECTION_COUNT_MAX)
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        super().__init__((address.host.strip("[]"), address.port), _Handler)

    def server_bind(self) -> None:
        # The base class looks the host's name up, which may wait for a name server. Answered
        # connections linger in the kernel: without the option a restart could not bind again.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection where there is a slot for it."""
        if self.slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection and gives its slot free."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: a client that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS
    server_version = "meter-agent"
    sys_version = ""

    def do_GET(self) -> None:
        self._route(self.path.partition("?")[0])

    do_HEAD = do_GET

    def _route(self, path: str) -> None:
        pages = self.server.pages
        if path == "/metrics":
            self._answer(HTTPStatus.OK, pages.metrics(), content_type=pages.metrics_content_type)
        elif path == "/livez":
            self._answer_health(pages.why_not_live(), "live")
        elif path == "/readyz":
            self._answer_health(pages.why_not_ready(), "ready")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there are /metrics, /livez and /readyz\n")

    def _answer_health(self, why_not: str, word: str) -> None:
        code = HTTPStatus.SERVICE_UNAVAILABLE if why_not else HTTPStatus.OK
        text = f"not {word}: {why_not}\n" if why_not else f"{word}\n"
        self._answer(code, text.encode())

    def _answer(self, code: HTTPStatus, body: bytes, *, content_type: str = _TEXT) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a probe a second is no event."""
