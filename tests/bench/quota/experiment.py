"""Callers who spend one limit, faults meanwhile, and the books that judge.

The books are the truth: they see every call before it begins and after it has ended, whatever the
design believes. Overspend is what they counted beyond the limit. A refusal is false where more than
2 % of the limit was neither used nor held by a call nor at a host that is cut off.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.quota.calls import Call
from tests.bench.quota.design import Design
from tests.support.fault_proxy import Fault

HOSTS: Final = 8
CALLERS_A_HOST: Final = 4
LARGEST_CALLS_IN_LIMIT: Final = 200
CALL_SECONDS: Final = (0.02, 0.12)
"""How long a call takes, drawn evenly."""
REFUSED_PAUSE_SECONDS: Final = 0.02
FAULT_PAUSE_SECONDS: Final = (0.1, 0.5)
CUT_SECONDS: Final = (0.5, 3.0)
RECONNECT_SECONDS: Final = 5.0
"""So long behind a cut or a kill a host counts as coming back, not as connected."""
FREE_SHARE: Final = 50
"""One part in fifty: 2 % of the limit."""
CUTS: Final = (Fault.HALF_OPEN, Fault.ONE_WAY, Fault.CUT, Fault.ACK_DROPPED)
DRAIN_REFUSALS: Final = 10


@dataclass
class Outcome:
    """What one run came to, in tokens and calls."""

    limit: int
    largest: int
    offered: int = 0
    calls: int = 0
    used: int = 0
    known: int = 0
    left: int = 0
    """Of the limit, once every host was connected again and asked down to a single token."""
    refused: Counter[str] = field(default_factory=Counter)
    """False refusals by the host's state: connected, coming_back, cut_off."""
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def overspend(self) -> int:
        """Use beyond the limit."""
        return max(0, self.used - self.limit)

    @property
    def false_share(self) -> float:
        """False refusals at connected hosts, of all calls."""
        return self.refused["connected"] / max(self.calls, 1)


class Books:
    """What really happened."""

    def __init__(self, outcome: Outcome, *, host_count: int) -> None:
        self.outcome = outcome
        self.lock = threading.Lock()
        self.held = 0
        self.stranded = 0
        self.cut_off: set[int] = set()
        self.back_time = [0.0] * host_count

    def state_of(self, host: int) -> str:
        """Returns whether a host is connected, coming_back or cut_off."""
        if host in self.cut_off:
            return "cut_off"
        is_back = time.monotonic() - self.back_time[host] > RECONNECT_SECONDS
        return "connected" if is_back else "coming_back"

    def free(self) -> int:
        """Returns what is certainly free for connected hosts."""
        with self.lock:
            return self.outcome.limit - self.outcome.used - self.held - self.stranded


class _Callers:
    """The services of one host: each takes the next call until none is left."""

    def __init__(self, design: Design, *, books: Books, calls: Sequence[Call], seed: int) -> None:
        self._design = design
        self._books = books
        self._calls = iter(calls)
        self._calls_lock = threading.Lock()
        self._seed = seed

    def run(self, host: int, *, caller: int) -> None:
        """Makes calls until there are no more."""
        chance = random.Random(f"{self._seed}-{host}-{caller}")
        while (call := self._next()) is not None:
            if not self._ask(host, call=call, seconds=chance.uniform(*CALL_SECONDS)):
                time.sleep(REFUSED_PAUSE_SECONDS)

    def _next(self) -> Call | None:
        with self._calls_lock:
            return next(self._calls, None)

    def _ask(self, host: int, *, call: Call, seconds: float) -> bool:
        books = self._books
        state, free = books.state_of(host), books.free()

        def work(granted: int) -> int:
            with books.lock:
                books.held += granted
            time.sleep(seconds)
            with books.lock:
                books.held -= granted
                books.outcome.used += call.used
            return call.used

        is_made = self._design.hosts[host].run(call, work=work)
        outcome = books.outcome
        with books.lock:
            outcome.calls += 1
            outcome.offered += call.reserved
        least = min(free, books.free())
        if not is_made and least > outcome.limit // FREE_SHARE + call.reserved:
            same = state if state == books.state_of(host) else "coming_back"
            outcome.refused[same] += 1
        return is_made


class _Faults:
    """Cuts hosts off and kills them, by chance, until it is stopped."""

    def __init__(self, design: Design, *, books: Books, seed: int) -> None:
        self._design = design
        self._books = books
        self._chance = random.Random(seed)
        self._is_over = threading.Event()

    def run(self) -> None:
        """Goes on until `stop`; then every host is connected again."""
        mended: list[tuple[float, int]] = []
        while not self._is_over.wait(self._chance.uniform(*FAULT_PAUSE_SECONDS)):
            now = time.monotonic()
            for due, host in [each for each in mended if each[0] <= now]:
                mended.remove((due, host))
                self._heal(host)
            host = self._chance.randrange(len(self._design.hosts))
            if host in self._books.cut_off:
                continue
            if self._chance.random() < 1 / 4:
                self._kill(host)
            else:
                self._cut(host)
                mended.append((now + self._chance.uniform(*CUT_SECONDS), host))
            self._books.stranded = self._design.stranded(self._books.cut_off)
        for _, host in mended:
            self._heal(host)

    def stop(self) -> None:
        """Lets no more faults happen."""
        self._is_over.set()

    def _cut(self, host: int) -> None:
        fault = self._chance.choice(CUTS)
        self._books.cut_off.add(host)
        self._books.outcome.faults[fault.value] += 1
        self._design.hosts[host].cut(fault)

    def _heal(self, host: int) -> None:
        self._design.hosts[host].heal()
        self._books.back_time[host] = time.monotonic()
        self._books.cut_off.discard(host)

    def _kill(self, host: int) -> None:
        self._books.cut_off.add(host)
        self._books.outcome.faults["kill -9"] += 1
        self._design.hosts[host].kill()
        self._books.back_time[host] = time.monotonic()
        self._books.cut_off.discard(host)


def play(design: Design, *, calls: Sequence[Call], demand: int, seed: int) -> Outcome:
    """Plays one run of a design and returns its figures.

    Args:
        design: not running yet.
        calls: of a trace; they are drawn from it by the seed.
        demand: what is asked for in all, in limits.
        seed: of the order of calls, of the faults and of the calls' lengths.
    """
    largest = max(call.reserved for call in calls)
    limit = largest * LARGEST_CALLS_IN_LIMIT
    outcome = Outcome(limit=limit, largest=largest)
    drawn = _drawn(calls, total=limit * demand, seed=seed)
    with design.running(limit):
        books = Books(outcome, host_count=len(design.hosts))
        callers = _Callers(design, books=books, calls=drawn, seed=seed)
        faults = _Faults(design, books=books, seed=seed)
        threads = [
            threading.Thread(target=callers.run, args=(host,), kwargs={"caller": caller})
            for host in range(len(design.hosts))
            for caller in range(CALLERS_A_HOST)
        ]
        storm = threading.Thread(target=faults.run)
        for thread in [*threads, storm]:
            thread.start()
        for thread in threads:
            thread.join()
        faults.stop()
        storm.join()
        _spend_the_rest(design, books=books)
        design.settle_all()
        outcome.known = design.known_use()
    outcome.left = max(0, limit - outcome.used)
    return outcome


def _drawn(calls: Sequence[Call], *, total: int, seed: int) -> list[Call]:
    chance = random.Random(seed)
    drawn: list[Call] = []
    asked = 0
    while asked < total:
        drawn.append(chance.choice(calls))
        asked += drawn[-1].reserved
    return drawn


def _spend_the_rest(design: Design, *, books: Books) -> None:
    """With every host connected, asks for ever smaller calls: what is left then is unusable."""
    time.sleep(RECONNECT_SECONDS)
    host = design.hosts[0]
    size = books.outcome.largest
    refusals = 0
    while size:

        def work(granted: int) -> int:
            with books.lock:
                books.outcome.used += granted
            return granted

        if host.run(Call(size, size), work=work):
            refusals = 0
            continue
        refusals += 1
        time.sleep(REFUSED_PAUSE_SECONDS)
        if refusals >= DRAIN_REFUSALS:
            size //= 2
            refusals = 0
