"""The two common designs, small and kind: retries count once, and nothing is lost by a kill.

**Cached check-then-add**: a host reads the customer's total once a second, compares, lets the call
happen, and adds what it used behind it. Adds wait in a list that outlives kills, as with an outbox.
**A call for each request**: the total is raised by what the call may use, in one transaction at the
server, before it; what was not used is taken off behind it. Without an answer the call is refused.
"""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import grpc

from tests.bench.programs import ROOT, Running, bench_directory
from tests.bench.quota.calls import Call
from tests.bench.quota.design import Host, Work
from tests.bench.quota.reference_server import SERVICE, decode, encode
from tests.support.fault_proxy import Fault, FaultProxy

CALL_SECONDS_MAX: Final = 0.5
"""After it a host takes the server for unreachable."""
CACHE_SECONDS: Final = 1.0
ADD_PAUSE_SECONDS: Final = 0.1
SETTLE_SECONDS_MAX: Final = 30.0
REACHED: Final = "LIMIT_REACHED"
NO_ANSWER: Final = "NO_ANSWER"
_CHANNEL_OPTIONS: Final = (("grpc.initial_reconnect_backoff_ms", 200),)
_change_ids = itertools.count(1)


class _Link:
    """One host's way to the counter, through a proxy that can break it."""

    def __init__(self, port: int) -> None:
        self.proxy = FaultProxy(port)
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()

    def call(self, method: str, *numbers: int) -> tuple[int, ...] | None:
        """Calls the server; None where there is no answer in time."""
        with self._lock:
            if self._channel is None:
                address = f"127.0.0.1:{self.proxy.port}"
                self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
            channel = self._channel
        try:
            answer = channel.unary_unary(f"/{SERVICE}/{method}")(
                encode(*numbers), timeout=CALL_SECONDS_MAX
            )
        except (grpc.RpcError, ValueError):
            return None
        return decode(answer)

    def reopen(self) -> None:
        """Begins with a new connection, as a process that was restarted does."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def mend(self) -> None:
        """Lets everything pass again."""
        self.proxy.fault = Fault.NONE
        self.reopen()


class _CachedHost:
    """Checks a copy of the total, adds behind the call."""

    def __init__(self, link: _Link, *, limit: int) -> None:
        self._link = link
        self._limit = limit
        self._lock = threading.Lock()
        self._total: int | None = None
        self._read_time = -CACHE_SECONDS
        self.waiting: deque[tuple[int, int]] = deque()
        self.is_over = False
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def run(self, call: Call, *, work: Work) -> str | None:
        total = self._known_total()
        if total is None:
            return NO_ANSWER
        if total + call.reserved > self._limit:
            return REACHED
        used = work(call.reserved)
        with self._lock:
            self._total = (self._total or 0) + used
        self.waiting.append((next(_change_ids), used))
        return None

    def _known_total(self) -> int | None:
        with self._lock:
            is_fresh = time.monotonic() - self._read_time < CACHE_SECONDS
            if is_fresh and self._total is not None:
                return self._total
            self._read_time = time.monotonic()
        answer = self._link.call("Read")
        with self._lock:
            if answer is not None:
                self._total = answer[0] + sum(amount for _, amount in self.waiting)
            return self._total

    def _send(self) -> None:
        while not self.is_over:
            while self.waiting and self._link.call("Add", *self.waiting[0]) is not None:
                self.waiting.popleft()
            time.sleep(ADD_PAUSE_SECONDS)

    def cut(self, fault: Fault) -> None:
        self._link.proxy.fault = fault

    def heal(self) -> None:
        self._link.mend()

    def kill(self) -> None:
        with self._lock:
            self._total, self._read_time = None, -CACHE_SECONDS
        self._link.reopen()


class _AskingHost:
    """Asks the server before every call."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self.waiting: deque[tuple[int, int]] = deque()
        self.is_over = False
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def run(self, call: Call, *, work: Work) -> str | None:
        answer = self._link.call("Reserve", next(_change_ids), call.reserved)
        if answer is None:
            return NO_ANSWER  # It may hold all the same: nobody gives that back.
        if not answer[0]:
            return REACHED
        used = work(call.reserved)
        self.waiting.append((next(_change_ids), used - call.reserved))
        return None

    def _send(self) -> None:
        while not self.is_over:
            while self.waiting and self._link.call("Add", *self.waiting[0]) is not None:
                self.waiting.popleft()
            time.sleep(ADD_PAUSE_SECONDS)

    def cut(self, fault: Fault) -> None:
        self._link.proxy.fault = fault

    def heal(self) -> None:
        self._link.mend()

    def kill(self) -> None:
        self._link.reopen()


class _Reference:
    """What both designs share: the server, a link a host, and how they end."""

    name = ""

    def __init__(self, *, host_count: int) -> None:
        self._host_count = host_count
        self._links: list[_Link] = []
        self._own: list[_CachedHost | _AskingHost] = []
        self.hosts: list[Host] = []

    @contextlib.contextmanager
    def running(self, limit: int) -> Iterator[None]:
        """Runs the server and the hosts."""
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(bench_directory("reference"))
            server = stack.enter_context(_server(directory / "counter.db", limit=limit))
            self._links = [_Link(int(server.banner)) for _ in range(self._host_count)]
            for link in self._links:
                stack.enter_context(link.proxy)
            self._own = [self._host(link, limit=limit) for link in self._links]
            self.hosts = list(self._own)
            yield
            for host in self._own:
                host.is_over = True
            for link in self._links:
                link.reopen()

    def _host(self, link: _Link, *, limit: int) -> _CachedHost | _AskingHost:
        raise NotImplementedError

    def leased(self) -> Mapping[int, int]:
        """Nothing of the limit lies at a host."""
        return {}

    def settle_all(self) -> None:
        """Waits until every add has arrived."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while any(host.waiting for host in self._own) and time.monotonic() < deadline:
            time.sleep(ADD_PAUSE_SECONDS)

    def known_use(self) -> int:
        """Returns the server's total."""
        answer = self._links[0].call("Read")
        assert answer is not None, "the server does not answer"
        return answer[0]


class CachedCheckThenAdd(_Reference):
    """Compare with a cached total, add behind the call."""

    name = "cached check-then-add"

    def _host(self, link: _Link, *, limit: int) -> _CachedHost:
        return _CachedHost(link, limit=limit)


class CallForEachRequest(_Reference):
    """Reserve at the server before each call."""

    name = "a server call per request"

    def _host(self, link: _Link, *, limit: int) -> _AskingHost:
        del limit
        return _AskingHost(link)


@contextlib.contextmanager
def _server(path: Path, *, limit: int) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.quota.reference_server", str(path), str(limit)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    running = Running(process, process.stdout.readline().strip())
    try:
        yield running
    finally:
        running.end()
