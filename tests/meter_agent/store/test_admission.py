"""What may become a commit: budget, shares, and a full disk."""

from pathlib import Path

import pytest

from meter_agent.core.disk_budget import DiskBudget
from meter_agent.store import admission as module
from meter_agent.store.admission import LOG_ROOM_BYTES, AdmissionControl
from meter_agent.store.ballast import Ballast
from meter_agent.store.group import Append, Ticket

SIZE = 64 * 1024


class World:
    """An admission control with a budget of 1,000 bytes, on a disk whose free bytes are set."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_bytes = 1 << 40
        self.free_in_file = 0
        self.now = 0.0
        monkeypatch.setattr(Ballast, "free_bytes", lambda _: self.free_bytes)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.ballast = Ballast(directory, size_bytes=SIZE)
        self.ballast.make()
        self.control = AdmissionControl(budget=DiskBudget(1_000), ballast=self.ballast)
        self.end_bytes = self.kept_from_bytes = 0

    def record(self, caller: str, byte_count: int) -> str:
        """Returns the reason of the refusal; empty where it was taken."""
        item = Append(1, 0, 0, b"x" * byte_count, Ticket(), caller)
        taken, refused = self.control.split(
            [item],
            kept_bytes=self.end_bytes - self.kept_from_bytes,
            free_in_file=lambda: self.free_in_file,
        )
        if refused:
            return refused[0][1].reason
        self.end_bytes += byte_count
        self.note(taken)
        return ""

    def note(self, taken: list[Append]) -> None:
        self.control.committed(
            taken, end_bytes=self.end_bytes, kept_from_bytes=self.kept_from_bytes
        )

    def delete(self, byte_count: int) -> None:
        self.kept_from_bytes += byte_count
        self.note([])

    @property
    def warned(self) -> list[str]:
        return [text.partition(":")[0] for text in self.control.warnings]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_it_warns_from_70_percent_until_there_is_clearly_room_again(world: World) -> None:
    assert world.record("a", 690) == ""
    assert world.warned == []
    world.record("a", 10)
    assert world.warned == ["DISK_BUDGET_NEARLY_FULL"]
    world.delete(40)  # 660 are left.
    assert world.warned == ["DISK_BUDGET_NEARLY_FULL"]
    world.delete(20)  # 640 are left, less than 65 %.
    assert world.warned == []


def test_at_95_percent_it_refuses_and_another_caller_still_records(world: World) -> None:
    assert world.record("a", 950) == ""
    assert world.record("a", 1) == "BUFFER_FULL"
    assert world.record("b", 50) == ""
    assert world.record("b", 1) == "BUFFER_FULL"


def test_the_refusal_of_one_that_holds_too_much_says_so(world: World) -> None:
    world.record("b", 1)
    world.record("a", 824)  # 825 in all: the threshold where two record.
    item = Append(1, 0, 0, b"x", Ticket(), "a")
    _, [(_, error)] = world.control.split([item], kept_bytes=825, free_in_file=lambda: 0)
    assert "more than its share" in error.message
    assert (error.metadata["admission"], error.retry_after_seconds) == ("over_share", 5.0)


def test_in_one_commit_what_fits_is_taken_and_the_rest_refused(world: World) -> None:
    items = [Append(1, 0, 0, b"x" * size, Ticket(), "a") for size in (900, 100, 50)]
    taken, refused = world.control.split(items, kept_bytes=0, free_in_file=lambda: 0)
    assert (taken, [item for item, _ in refused]) == ([items[0], items[2]], [items[1]])


def test_a_new_count_of_bytes_begins_new_accounts(world: World) -> None:
    world.record("a", 500)
    world.end_bytes = world.kept_from_bytes = 0
    world.note([])
    assert world.record("a", 950) == ""


def test_on_a_full_disk_the_ballast_goes_and_nothing_eats_its_room(world: World) -> None:
    assert world.control.disk_filled()
    assert world.ballast.is_given_up
    assert world.warned == ["DISK_FULL"]
    assert not world.control.disk_filled()  # There is nothing left to give.
    world.free_bytes = SIZE
    assert world.record("a", 10) == "DISK_FULL"
    # With room for the log, rows may take the pages that deleted ones left: 3/4 of 40 bytes.
    world.free_bytes = LOG_ROOM_BYTES
    world.free_in_file = 40
    assert world.record("a", 31) == "DISK_FULL"
    assert world.record("a", 30) == ""
    # Or what is free beside the ballast's room and the log's.
    world.free_bytes = LOG_ROOM_BYTES + SIZE + 20
    world.free_in_file = 0
    assert world.record("a", 21) == "DISK_FULL"
    assert world.record("a", 20) == ""


def test_the_ballast_is_made_again_once_there_is_room_and_looked_for_rarely(world: World) -> None:
    world.control.disk_filled()
    world.free_bytes = SIZE
    world.control.tend()
    assert world.control.is_work_due
    world.free_bytes = 1 << 40
    world.control.tend()  # Looked at just now.
    assert world.control.is_work_due
    world.now += 2
    world.control.tend()
    assert world.ballast.is_there
    assert (world.warned, world.control.is_work_due) == ([], False)


def test_after_a_restart_nothing_eats_the_room_of_a_ballast_given_up(world: World) -> None:
    world.control.disk_filled()
    world.free_bytes = LOG_ROOM_BYTES + SIZE
    world.control = AdmissionControl(budget=DiskBudget(1_000), ballast=world.ballast)
    assert world.warned == ["DISK_FULL"]
    assert world.record("a", 10) == "DISK_FULL"


def test_a_missing_ballast_is_a_warning(world: World) -> None:
    world.ballast.release()
    assert world.warned == ["BALLAST_MISSING"]
