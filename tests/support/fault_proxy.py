"""A TCP proxy between two programs that does to a connection what networks do."""

import contextlib
import enum
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

CHUNK_BYTES = 64 * 1024
DELAY_SECONDS = 0.15
WATCH_SECONDS = 0.05


class Fault(enum.Enum):
    """What happens to what passes by."""

    NONE = "none"
    DELAY = "delay"
    """Every chunk waits, in both directions."""
    HALF_OPEN = "half_open"
    """Nothing passes, and nobody is told: both ends believe in the connection."""
    ONE_WAY = "one_way"
    """Requests pass and are committed; answers vanish, and nobody is told."""
    CUT = "cut"
    """A connection is reset after some bytes of requests, in the middle of a message."""
    ACK_DROPPED = "ack_dropped"
    """The request passes; when the server answers, the connection is reset instead."""


@dataclass
class _Lost:
    """Which directions of one connection are swallowed, for good."""

    requests: bool = False
    answers: bool = False

    def note(self, fault: Fault) -> None:
        self.requests |= fault is Fault.HALF_OPEN
        self.answers |= fault in (Fault.HALF_OPEN, Fault.ONE_WAY)


class FaultProxy:
    """Forwards a free loopback port to another one.

    A connection on which bytes were swallowed never passes any again, as after a firewall has
    forgotten it; the ones that are opened later do.

    Args:
        server_port: Loopback port of the server.
        cut_bytes: After how many bytes of requests CUT resets.
    """

    def __init__(self, server_port: int, *, cut_bytes: int = 2_000) -> None:
        self.fault = Fault.NONE
        self.fault_count = 0
        self._server_port = server_port
        self._cut_bytes = cut_bytes
        self._is_over = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listening.settimeout(WATCH_SECONDS)
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._threads[0].join()
        with self._lock:
            sockets = tuple(self._open)
        for one in sockets:
            self._reset(one)
        for thread in self._threads[1:]:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=5)
            except OSError:
                self._reset(client)
                continue
            with self._lock:
                self._open |= {client, server}
            lost = _Lost()
            client.settimeout(None)  # Of both, before a thread may end them.
            server.settimeout(None)
            for source, target, is_request in ((client, server, True), (server, client, False)):
                thread = threading.Thread(
                    target=self._pump,
                    args=(source, target),
                    kwargs={"is_request": is_request, "lost": lost},
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        *,
        is_request: bool,
        lost: _Lost,
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                fault = self.fault
                lost.note(fault)
                if lost.requests if is_request else lost.answers:
                    self._count()
                    continue
                if fault is Fault.DELAY:
                    self._count()
                    time.sleep(DELAY_SECONDS)
                if fault is Fault.ACK_DROPPED and not is_request:
                    self._count()
                    break
                if fault is Fault.CUT and is_request:
                    left = max(0, self._cut_bytes - passed)
                    if len(chunk) >= left:
                        target.sendall(chunk[:left])
                        self._count()
                        break
                passed += len(chunk)
                target.sendall(chunk)
        self._reset(source)
        self._reset(target)

    def _count(self) -> None:
        self.fault_count += 1

    def _reset(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
