"""Looks at the disk once a second, so that no answer of the admin port ever waits for it."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from meter_agent.core.positions import Positions
from meter_agent.store.reader import Backlog
from metering.clock import Clock
from metering.errors import MeteringError

SAMPLE_SECONDS: Final = 1.0
"""How often the disk is looked at."""
STOP_SECONDS: Final = 2.0
"""How long a stop waits for a look that hangs."""

_LOG = structlog.get_logger("meter_agent.admin")


class BacklogSource(Protocol):
    """The buffer as the sampler reads it, on a connection that nobody else waits for."""

    def backlog(self, positions: Positions) -> Backlog:
        """Returns what is not applied yet."""
        ...

    def oldest_kept_time_us(self) -> int | None:
        """Returns when the oldest event on disk was received; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """The disk at one moment."""

    taken_seconds: float
    """When, on the monotonic clock."""
    buffered_bytes: int = 0
    """Bytes of the rows that are not wholly applied, >= 0."""
    oldest_buffered_time_us: int | None = None
    """When the oldest of them was received, microseconds since 1970 UTC; None: none waits."""
    oldest_kept_time_us: int | None = None
    """When the oldest event on disk was received; None: there is none."""
    disk_used_bytes: int = 0
    """Bytes of the database and its log, >= 0."""
    disk_free_bytes: int = 0
    """Bytes that the agent's user may still write on the file system, >= 0."""


class Sampler:
    """Keeps the newest sample.

    Args:
        source: The buffer.
        positions: Returns the agent's place in the stream; never waits for the disk.
        database_path: Of the buffer.
        clock: Of the host.
    """

    def __init__(
        self,
        source: BacklogSource,
        *,
        positions: Callable[[], Positions],
        database_path: Path,
        clock: Clock,
    ) -> None:
        self._source = source
        self._positions = positions
        self._path = database_path
        self._clock = clock
        self._sample = Sample(taken_seconds=clock.monotonic())
        self._is_sampled = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    @property
    def sample(self) -> Sample:
        """The newest sample; replaced whole."""
        return self._sample

    @property
    def is_sampled(self) -> bool:
        """Whether the disk has answered at least once."""
        return self._is_sampled

    @property
    def age_seconds(self) -> float:
        """Age of the newest sample: it grows while the disk does not answer."""
        return max(0.0, self._clock.monotonic() - self._sample.taken_seconds)

    def start(self) -> None:
        """Takes samples from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; where the disk hangs, the thread is left to end with the process."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def take(self) -> None:
        """Takes one sample; where the disk fails, the last one stays and grows old."""
        try:
            backlog = self._source.backlog(self._positions())
            self._sample = Sample(
                taken_seconds=self._clock.monotonic(),
                buffered_bytes=backlog.bytes,
                oldest_buffered_time_us=backlog.oldest_receive_time_us,
                oldest_kept_time_us=self._source.oldest_kept_time_us(),
                disk_used_bytes=disk_used_bytes(self._path),
                disk_free_bytes=shutil.disk_usage(self._path.parent).free,
            )
            self._is_sampled = True
        except (OSError, sqlite3.Error, MeteringError) as error:
            _LOG.warning("sample_failed", error=str(error))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.take()
            self._stopping.wait(SAMPLE_SECONDS)


def disk_used_bytes(database_path: Path) -> int:
    """Returns the bytes of a database and its log."""
    used = 0
    for suffix in ("", "-wal", "-shm"):
        path = database_path.with_name(database_path.name + suffix)
        if path.exists():
            used += path.stat().st_size
    return used
