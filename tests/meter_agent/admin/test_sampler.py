"""The sampler: what it reads, and that nobody waits for a disk that hangs."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from meter_agent.admin.sampler import Sampler, disk_used_bytes
from meter_agent.core.positions import Positions
from meter_agent.store.reader import Backlog, OutboxReader
from metering.clock import ManualClock
from metering.errors import UnavailableError
from tests.meter_agent.support import NOW, NOW_US, WAIT_SECONDS, Store, numbered, packed


class Disk:
    """A buffer that hangs, or fails, on demand."""

    def __init__(self) -> None:
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        self.error: UnavailableError | None = None

    def backlog(self, _: Positions) -> Backlog:
        self.asked.set()
        assert self.answering.wait(WAIT_SECONDS)
        if self.error is not None:
            raise self.error
        return Backlog(bytes=7, oldest_receive_time_us=NOW_US)

    def oldest_kept_time_us(self) -> int | None:
        return NOW_US


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def sampler(disk: Disk, clock: ManualClock, tmp_path: Path) -> Iterator[Sampler]:
    made = Sampler(
        disk,
        positions=lambda: Positions(disk_id=b""),
        database_path=tmp_path / "agent.db",
        clock=clock,
    )
    yield made
    disk.answering.set()
    made.stop()


def test_a_sample_shows_what_lies_on_disk(tmp_path: Path, clock: ManualClock) -> None:
    with Store(tmp_path) as store:
        store.record(numbered(0, 5))
        reader = OutboxReader(store.path)
        sampler = Sampler(
            reader,
            positions=lambda: store.writer.state.positions,
            database_path=store.path,
            clock=clock,
        )
        sampler.take()
        reader.close()
    sample = sampler.sample
    assert sample.buffered_bytes == len(packed(numbered(0, 5)))
    assert (sample.oldest_buffered_time_us, sample.oldest_kept_time_us) == (NOW_US, NOW_US)
    assert sample.disk_used_bytes > 0
    assert sample.disk_free_bytes > 0


def test_a_disk_that_hangs_makes_the_sample_grow_old(
    sampler: Sampler, disk: Disk, clock: ManualClock
) -> None:
    disk.answering.clear()
    sampler.start()
    assert disk.asked.wait(WAIT_SECONDS)
    assert not sampler.is_sampled
    clock.advance(timedelta(seconds=42))
    assert sampler.age_seconds == 42.0


def test_a_disk_that_fails_keeps_the_last_sample(
    sampler: Sampler, disk: Disk, clock: ManualClock
) -> None:
    sampler.take()
    disk.error = UnavailableError(reason="DATABASE_UNAVAILABLE", message="it is gone")
    clock.advance(timedelta(seconds=5))
    sampler.take()
    assert (sampler.sample.buffered_bytes, sampler.age_seconds) == (7, 5.0)


def test_the_log_counts_as_used(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"1234")
    assert disk_used_bytes(path) == 4
    (tmp_path / "agent.db-wal").write_bytes(b"123456")
    assert disk_used_bytes(path) == 10
