"""Hosts are cut off and killed, by chance, and mended again."""

import os
import random
import threading
import time
from pathlib import Path
from typing import Final

from tests.bench.quota.books import Books
from tests.bench.quota.design import Design
from tests.support.fault_proxy import Fault

FAULT_PAUSE_SECONDS: Final = (1.0, 3.0)
CUT_SECONDS: Final = (0.5, 3.0)
KILL_SHARE: Final = 1 / 4
CUTS: Final = (Fault.HALF_OPEN, Fault.ONE_WAY, Fault.CUT, Fault.ACK_DROPPED)
LOOK_SECONDS: Final = 0.2
_IDLE_FIELDS: Final = (3, 4)
"""Of the first line of /proc/stat: idle, and waiting for the disk."""


class FaultStorm:
    """Breaks hosts until it is stopped, and tells the books who holds what.

    Args:
        design: running.
        books: of the run.
        seed: of what breaks when.
    """

    def __init__(self, design: Design, *, books: Books, seed: int) -> None:
        self._design = design
        self._books = books
        self._chance = random.Random(seed)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._kills: list[threading.Thread] = []

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Lets no more faults happen, and returns once every host is mended."""
        self._is_over.set()
        self._thread.join()
        for thread in self._kills:
            thread.join()

    def _run(self) -> None:
        due = time.monotonic() + self._chance.uniform(*FAULT_PAUSE_SECONDS)
        mends: list[tuple[float, int]] = []
        ticks = _Ticks()
        while not self._is_over.wait(LOOK_SECONDS):
            now = time.monotonic()
            for mend in [each for each in mends if each[0] <= now]:
                mends.remove(mend)
                self._heal(mend[1])
            if now >= due:
                due = now + self._chance.uniform(*FAULT_PAUSE_SECONDS)
                mends += self._break_one(now)
            self._books.leased(self._design.leased())
            self._books.passed(busy_seconds=ticks.busy_seconds(), seconds=ticks.seconds)
        for _, host in mends:
            self._heal(host)

    def _break_one(self, now: float) -> list[tuple[float, int]]:
        """Breaks a host; returns when to mend which, where nobody else does."""
        host = self._chance.randrange(len(self._design.hosts))
        if self._books.is_cut_off(host):
            return []
        if self._chance.random() < KILL_SHARE:
            self._books.cut_off(host, fault="kill -9")
            self._kills.append(threading.Thread(target=self._kill, args=(host,)))
            self._kills[-1].start()
            return []
        fault = self._chance.choice(CUTS)
        self._books.cut_off(host, fault=fault.value)
        self._design.hosts[host].cut(fault)
        return [(now + self._chance.uniform(*CUT_SECONDS), host)]

    def _kill(self, host: int) -> None:
        self._design.hosts[host].kill()
        self._books.mended(host)

    def _heal(self, host: int) -> None:
        self._design.hosts[host].heal()
        self._books.mended(host)


class _Ticks:
    """What the machine's processors did since it was last asked."""

    def __init__(self) -> None:
        self._rate = os.sysconf("SC_CLK_TCK")
        self._total, self._idle = self._read()
        self.seconds = 0.0
        """Of all processors, between the last two looks."""

    def busy_seconds(self) -> float:
        """Returns how long processors were busy, all of them added up."""
        before = (self._total, self._idle)
        self._total, self._idle = self._read()
        self.seconds = (self._total - before[0]) / self._rate
        return self.seconds - (self._idle - before[1]) / self._rate

    def _read(self) -> tuple[int, int]:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        fields = [int(text) for text in line.split()[1:9]]
        return sum(fields), sum(fields[field] for field in _IDLE_FIELDS)
