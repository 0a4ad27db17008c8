"""Power loss and rotten disks: a log cut anywhere, bytes flipped anywhere, each group synced.

A kill does not test this: what a killed process wrote is still in the kernel. Here the files are
copied and changed instead, and opened again as the agent would.
"""

import random
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from meter_agent.store.database import PAGE_BYTES, connect_writer
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import damage_reports, repair_database
from meter_agent.store.repairer import open_outbox
from metering.errors import InvalidStateError
from tests.meter_agent.support import NOW, NOW_US, Store, event, ids_of

GROUP_COUNT = 40
GROUP_EVENT_COUNT = 30
WAL_HEADER_BYTES = 32
WAL_FRAME_BYTES = 24 + PAGE_BYTES


def ids_of_group(number: int) -> list[str]:
    return [f"{number}-{index}" for index in range(GROUP_EVENT_COUNT)]


@dataclass(frozen=True)
class Image:
    """A copy of a database and its log, taken while they were written."""

    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "agent.db"

    @property
    def log_path(self) -> Path:
        return self.directory / "agent.db-wal"

    def copy(self, directory: Path) -> "Image":
        shutil.copytree(self.directory, directory)
        return Image(directory)

    def reopened_ids(self) -> list[str]:
        """Opens it as the agent does; returns the ids of the blocks that it would ship."""
        outbox = open_outbox(self.path, now=lambda: NOW)
        positions = outbox.state.positions
        found = read_ids(self.path, first_seq=positions.applied_seq + 1)
        # Without a hole, up to the position of the next event.
        assert positions.buffered_count == len(found)
        outbox.close()
        return found


def read_ids(path: Path, *, first_seq: int) -> list[str]:
    reader = OutboxReader(path)
    page = reader.page(first_seq=first_seq, event_count_max=10**9, bytes_max=10**12)
    reader.close()
    return [name for block in page for name in ids_of(block.events)]


def take_image(store: Store, directory: Path) -> Image:
    directory.mkdir()
    for suffix in ("", "-wal"):
        source = store.path.with_name(store.path.name + suffix)
        if source.exists():
            shutil.copy(source, directory / source.name)
    return Image(directory)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Forty groups of thirty events, the first half in the database, the rest in the log."""
    directory = tmp_path_factory.mktemp("written")
    (directory / "live").mkdir()
    with Store(directory / "live") as store:
        for number in range(GROUP_COUNT):
            if number == GROUP_COUNT // 2:
                with sqlite3.connect(store.path) as checkpointer:
                    checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                checkpointer.close()
            items = [event(name, dimensions={"k": "x" * 40}) for name in ids_of_group(number)]
            store.record(items, receive_time_us=NOW_US + number * 1_000_000)
        return take_image(store, directory / "image")


def all_ids(count: int = GROUP_COUNT) -> list[str]:
    return [name for number in range(count) for name in ids_of_group(number)]


def test_without_a_cut_all_is_there(written: Image, tmp_path: Path) -> None:
    assert written.copy(tmp_path / "copy").reopened_ids() == all_ids()


def cut_places(length: int) -> list[int]:
    """Every border of a frame, and a few bytes around and between them."""
    places = random.Random(5)
    borders = range(WAL_HEADER_BYTES, length + 1, WAL_FRAME_BYTES)
    near = [border + places.choice([-1, 1, 12, 24, 100]) for border in borders]
    return sorted({0, 1, WAL_HEADER_BYTES - 1, *borders, *near} & set(range(length + 1)))


def test_a_log_cut_anywhere_leaves_a_prefix_of_whole_groups(written: Image, tmp_path: Path) -> None:
    length = written.log_path.stat().st_size
    lengths_seen = set()
    for place in cut_places(length):
        image = written.copy(tmp_path / f"cut-{place}")
        with image.log_path.open("r+b") as log:
            log.truncate(place)
        found = image.reopened_ids()
        assert found == all_ids()[: len(found)]
        assert len(found) % GROUP_EVENT_COUNT == 0
        assert len(found) >= GROUP_COUNT // 2 * GROUP_EVENT_COUNT
        assert damage_reports(image.path) == []
        lengths_seen.add(len(found))
        shutil.rmtree(image.directory)
    # The cuts were not all the same: each number of groups in the log was met.
    assert len(lengths_seen) == GROUP_COUNT // 2 + 1


def test_bytes_flipped_in_the_log_leave_a_prefix_of_whole_groups(
    written: Image, tmp_path: Path
) -> None:
    choice = random.Random(11)
    length = written.log_path.stat().st_size
    told_count = 0
    for turn in range(40):
        image = written.copy(tmp_path / f"flip-{turn}")
        flip(image.log_path, choice.randrange(length))
        found = image.reopened_ids()
        assert found == all_ids()[: len(found)]
        assert len(found) % GROUP_EVENT_COUNT == 0
        # One group may be a commit that was cut short; where more are missing it is told.
        if len(found) < len(all_ids()) - GROUP_EVENT_COUNT:
            [report] = damage_reports(image.path)
            assert "commits in it cannot be read" in report.cause
            told_count += 1
        shutil.rmtree(image.directory)
    assert told_count > 20


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        [byte] = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 0x41]))


@pytest.mark.parametrize("seed", range(60))
def test_bytes_flipped_in_the_database_never_make_another_event_and_are_counted(
    written: Image, tmp_path: Path, seed: int
) -> None:
    choice = random.Random(seed)
    image = written.copy(tmp_path / "image")
    for _ in range(choice.choice([1, 3, 10])):
        # Not page 1: without the schema nothing can be found, see the test below.
        flip(image.path, choice.randrange(PAGE_BYTES, image.path.stat().st_size))
    outbox = open_outbox(image.path, now=lambda: NOW)
    outbox.close()
    if damage_is_seen(image.path):
        repair_database(image.path, cause="as the agent does", now=NOW)
    positions = open_outbox(image.path, now=lambda: NOW)
    first_seq = positions.state.positions.applied_seq + 1
    next_seq = positions.state.positions.next_seq
    positions.close()
    found = read_ids(image.path, first_seq=first_seq)
    assert len(found) == next_seq - first_seq
    # Whole groups, each as it was recorded, in order.
    groups = [found[at : at + GROUP_EVENT_COUNT] for at in range(0, len(found), GROUP_EVENT_COUNT)]
    numbers = [int(group[0].split("-")[0]) for group in groups]
    assert groups == [ids_of_group(number) for number in numbers]
    assert numbers == sorted(set(numbers))
    reports = damage_reports(image.path)
    lost = sum(report.lost_event_count for report in reports)
    missing = GROUP_COUNT * GROUP_EVENT_COUNT - len(found)
    # Without the agent's state it is not known where the buffer began.
    assert lost <= missing if any(item.is_state_lost for item in reports) else lost == missing


def damage_is_seen(path: Path) -> bool:
    """Whether the check after an unclean end, or reading everything, finds something."""
    causes: list[str] = []
    reader = OutboxReader(path, on_damage=causes.append)
    try:
        if reader.check():
            return True
        reader.page(first_seq=1, event_count_max=10**9, bytes_max=10**12)
    except InvalidStateError:
        return bool(causes)
    finally:
        reader.close()
    return False


def test_a_database_whose_first_page_is_gone_is_kept_aside_and_a_new_one_begun(
    written: Image, tmp_path: Path
) -> None:
    image = written.copy(tmp_path / "image")
    with image.path.open("r+b") as file:
        file.write(random.Random(1).randbytes(PAGE_BYTES))
    image.log_path.unlink()
    assert image.reopened_ids() == []
    [report] = damage_reports(image.path)
    assert Path(report.moved_to).stat().st_size > 10 * PAGE_BYTES
    assert report.is_state_lost


def test_each_commit_is_synced_also_after_the_database_was_opened_again(tmp_path: Path) -> None:
    # FULL (2) makes SQLite sync the log at the end of each commit before it returns; NORMAL would
    # not. That the disk heeds a sync cannot be tested here.
    with Store(tmp_path) as store:
        connection = store.outbox._connection
        for _ in range(2):
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            connection = connect_writer(store.path)
        connection.close()
