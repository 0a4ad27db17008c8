"""Callers who spend one limit, faults meanwhile, and the books that judge.

The books are the truth: they see every call before it begins and after it has ended, whatever the
design believes. Overspend is what they counted beyond the limit. A refusal is false where more than
2 % of the limit, beyond the call itself, was neither used nor held by a call nor at a host that was
not connected, before the call and behind it.
"""

import random
import threading
import time
from collections.abc import Sequence
from typing import Final

from tests.bench.quota.books import Books, Outcome
from tests.bench.quota.calls import Call
from tests.bench.quota.design import Design
from tests.bench.quota.faults import FaultStorm

HOSTS: Final = 8
CALLERS_A_HOST: Final = 4
LARGEST_CALLS_IN_LIMIT: Final = 200
CALL_SECONDS: Final = (0.1, 0.5)
"""How long a call takes, drawn evenly: about 100 calls a second, which two cores bear."""
REFUSED_PAUSE_SECONDS: Final = 0.05
SETTLING_SECONDS: Final = 5.0
"""Behind the last fault every host is connected again after so long."""
DRAIN_REFUSALS: Final = 10


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
        """Makes one call; False where it was refused."""
        books = self._books
        before = books.look(host)

        def work(granted: int) -> int:
            books.begun(host, before=before, held=granted)
            time.sleep(seconds)
            books.ended(host, held=granted, used=call.used)
            return call.used

        reason = self._design.hosts[host].run(call, work=work)
        books.answered(host, call=call, before=before, reason=reason)
        return reason is None


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
        storm = FaultStorm(design, books=books, seed=seed)
        threads = [
            threading.Thread(target=callers.run, args=(host,), kwargs={"caller": caller})
            for host in range(len(design.hosts))
            for caller in range(CALLERS_A_HOST)
        ]
        storm.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        storm.stop()
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
    time.sleep(SETTLING_SECONDS)
    host = design.hosts[0]
    size = books.outcome.largest
    refusals = 0
    while size:

        def work(granted: int) -> int:
            books.ended(0, held=0, used=granted)
            return granted

        if host.run(Call(size, size), work=work) is None:
            refusals = 0
            continue
        refusals += 1
        time.sleep(REFUSED_PAUSE_SECONDS)
        if refusals >= DRAIN_REFUSALS:
            size //= 2
            refusals = 0
