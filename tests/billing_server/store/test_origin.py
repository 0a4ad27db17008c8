"""A restored database is noticed at the start by a mark that the copy does not share."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from billing_server.store.origin import check_origin
from billing_server.store.unit_of_work import SqlStore, open_store


class Room:
    """A database with its mark beside it."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "billing.db"
        self.mark = directory / "billing.db.incarnation"

    def start(self) -> tuple[bool, str]:
        """Starts and stops a server on it; returns whether it was restored, and who it is."""
        store = open_store(f"sqlite:///{self.database}")
        is_restored = check_origin(store, mark_path=self.mark)
        with store.read() as unit:
            incarnation = unit.agents.incarnation()
            assert (unit.agents.incarnation_time() is not None) == (self.renewed or is_restored)
        self.renewed = self.renewed or is_restored
        store.close()
        return is_restored, incarnation

    renewed = False


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_database_that_goes_on_keeps_its_incarnation(room: Room) -> None:
    first = room.start()
    assert first[0] is False
    assert [room.start(), room.start()] == [first, first]


def test_a_copy_that_is_put_back_gets_a_new_incarnation_once(room: Room) -> None:
    _, before = room.start()
    shutil.copy(room.database, backup := room.database.with_name("backup"))
    room.start()
    shutil.copy(backup, room.database)
    is_restored, after = room.start()
    assert is_restored
    assert after != before
    assert room.start() == (False, after)


def test_data_without_their_mark_come_from_elsewhere(room: Room) -> None:
    room.start()
    room.mark.unlink()
    assert room.start()[0] is True


def test_a_crash_between_the_two_marks_is_no_restore(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = room.start()
    with monkeypatch.context() as patch:
        patch.setattr("billing_server.store.origin._settle", _crash)
        with pytest.raises(KeyboardInterrupt):
            room.start()
    assert room.start() == (False, before)


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_file_is_for_its_owner_alone(room: Room) -> None:
    room.start()
    assert room.mark.stat().st_mode & 0o777 == 0o600


@pytest.mark.postgresql
def test_another_timeline_of_postgresql_is_a_restore(postgresql_url: str) -> None:
    store = open_store(postgresql_url)
    assert [check_origin(store, mark_path=None) for _ in range(2)] == [False, False]
    _forge(store, mark="7/1")
    assert [check_origin(store, mark_path=None) for _ in range(2)] == [True, False]
    store.close()


def _forge(store: SqlStore, *, mark: str) -> None:
    with store.write() as unit:
        unit.connection.execute(text("UPDATE server_state SET origin_mark = :m"), {"m": mark})
