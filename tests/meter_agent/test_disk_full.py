"""A real full disk, in a small file system: refused clearly, and over without a restart."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from meter_agent.doctor.disk import check_database, check_free_space
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import MeteringError
from metering.rpc import error_from_rpc
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent, event, wait_until

DISK_BYTES = 16 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB of its own; skipped where none may be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield path
    # Lazily, so that a test that failed leaves no mount behind.
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def batch(number: int) -> list[UsageEvent]:
    """About 100 KiB of events."""
    return [event(f"{number}-{index}", dimensions={"k": "x" * 200}) for index in range(400)]


def fill(agent: RunningAgent) -> tuple[int, grpc.RpcError]:
    """Records until the agent refuses; returns the number of batches that were answered OK."""
    for number in range(400):
        try:
            agent.record(batch(number))
        except grpc.RpcError as error:
            return number, error
    pytest.fail("the disk never filled")


def test_a_full_disk_is_told_and_recording_goes_on_once_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(os.urandom(DISK_BYTES // 2))
    with RunningAgent(small_disk) as agent:
        count, refusal = fill(agent)
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
        error = error_from_rpc(refusal)
        assert error.reason == "DISK_FULL"
        assert str(small_disk) in error.message
        assert error.retry_after_seconds == 2.0
        ballast.unlink()
        assert agent.record(batch(1_000)).accepted_count == 400
        status = agent.status()
        # What was refused is not there; what was answered OK is.
        assert status.buffered_event_count == (count + 1) * 400
        assert status.accepted_count == (count + 1) * 400


def test_after_a_full_disk_all_that_was_answered_ok_is_shipped(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(os.urandom(DISK_BYTES // 2))
    with (
        FakeServer() as server,
        RunningAgent(small_disk, server=server.address, token=TOKEN) as agent,
    ):
        server.stop()
        count, _ = fill(agent)
        ballast.unlink()
        server.start()
        assert server.wait_for_event_count(count * 400)
        agent.wait_until_drained()
        assert server.books.losses == []
        # The space of what was shipped is used again.
        assert agent.record(batch(1_000)).accepted_count == 400


def names(agent: RunningAgent) -> list[str]:
    return [text.partition(":")[0] for text in agent.status().warnings]


def test_a_disk_filled_by_the_agent_itself_is_emptied_by_shipping_without_a_restart(
    small_disk: Path,
) -> None:
    ballast = small_disk / "data" / "agent.ballast"
    with (
        FakeServer() as server,
        RunningAgent(
            small_disk, server=server.address, token=TOKEN, ballast_bytes=6 << 20
        ) as agent,
    ):
        assert ballast.stat().st_size == 6 << 20
        server.stop()
        count, refusal = fill(agent)
        assert error_from_rpc(refusal).reason == "DISK_FULL"
        # The room of the ballast is there now, and new events do not take it.
        assert ballast.stat().st_size == 0
        assert names(agent) == ["DISK_FULL"]
        with pytest.raises(grpc.RpcError):
            agent.record(batch(500))
        assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > 4 << 20
        # Nothing else is freed: the acks alone must make the room.
        server.start()
        assert server.wait_for_event_count(count * 400)
        agent.wait_until_drained()
        wait_until(lambda: names(agent) == [])
        assert ballast.stat().st_size == 6 << 20
        assert agent.record(batch(1_000)).accepted_count == 400
        assert server.wait_for_event_count((count + 1) * 400)
        assert server.books.losses == []


def test_where_there_is_no_room_for_the_ballast_the_status_says_so(small_disk: Path) -> None:
    with RunningAgent(small_disk, ballast_bytes=12 << 20) as agent:
        assert names(agent) == ["BALLAST_MISSING"]
        assert agent.record(batch(1)).accepted_count == 400


def test_an_agent_restarts_on_a_full_disk_with_what_it_held(small_disk: Path) -> None:
    with RunningAgent(small_disk) as agent:
        count, _ = fill(agent)
    with RunningAgent(small_disk) as agent:
        assert agent.status().buffered_event_count == count * 400


def free_bytes(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def test_with_not_a_byte_free_it_ships_and_no_acknowledgement_is_lost(small_disk: Path) -> None:
    ballast_bytes = 4 << 20
    with (
        FakeServer() as server,
        RunningAgent(
            small_disk, server=server.address, token=TOKEN, ballast_bytes=ballast_bytes
        ) as agent,
    ):
        server.stop()
        count, _ = fill(agent)
        # Somebody else takes the room of the ballast too.
        (small_disk / "filler").write_bytes(b"x" * free_bytes(small_disk))
        assert free_bytes(small_disk) == 0
        server.start()
        assert server.wait_for_event_count(count * 400)
        agent.wait_until_drained()
        # The log was moved into the database in the room of the ballast, and is used again.
        assert server.books.duplicate_count == 0


def test_it_starts_on_a_full_disk_in_the_room_of_its_ballast(small_disk: Path) -> None:
    with RunningAgent(small_disk, ballast_bytes=4 << 20) as agent:
        agent.record(batch(1))
    (small_disk / "filler").write_bytes(b"x" * free_bytes(small_disk))
    assert free_bytes(small_disk) == 0
    with RunningAgent(small_disk, ballast_bytes=4 << 20) as agent:
        assert agent.status().buffered_event_count == 400
        assert names(agent) == ["DISK_FULL"]
        # The room serves to ship and delete: new events do not take it.
        with pytest.raises(grpc.RpcError):
            agent.record(batch(2))


def test_a_start_without_any_room_says_that_the_disk_is_full(small_disk: Path) -> None:
    with RunningAgent(small_disk):
        pass
    (small_disk / "filler").write_bytes(b"x" * free_bytes(small_disk))
    with pytest.raises(MeteringError) as caught:
        RunningAgent(small_disk)
    assert caught.value.reason == "DISK_FULL"


def test_a_start_on_a_disk_without_inodes_names_them(small_disk: Path) -> None:
    with RunningAgent(small_disk):
        pass
    subprocess.run(["mount", "-o", "remount,nr_inodes=6", str(small_disk)], check=True)
    while os.statvfs(small_disk).f_favail:
        (small_disk / f"file-{os.statvfs(small_disk).f_favail}").touch()
    [found] = check_free_space(small_disk / "data", budget_bytes=1)
    assert (found.reason, "no inode" in found.message) == ("DISK_FULL", True)
    [found] = check_database(small_disk / "data")
    assert found.reason == "DISK_FULL"
    with pytest.raises(MeteringError, match="no inode left") as caught:
        RunningAgent(small_disk)
    assert caught.value.reason == "DISK_FULL"
