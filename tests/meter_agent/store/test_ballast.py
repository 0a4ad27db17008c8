"""The file that holds room for the time when the disk is full."""

from pathlib import Path

import pytest

from meter_agent.store.ballast import BALLAST_NAME, Ballast

SIZE = 64 * 1024


def test_it_takes_its_room_is_released_and_made_again(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    assert ballast.is_missing
    ballast.make()
    file = tmp_path / BALLAST_NAME
    # Really allocated, not only as long as that.
    assert (file.stat().st_size, file.stat().st_blocks * 512 >= SIZE) == (SIZE, True)
    assert ballast.is_there
    assert not ballast.is_given_up
    assert ballast.release()
    assert file.stat().st_size == 0
    assert ballast.is_given_up
    assert not ballast.release()
    ballast.make()
    assert file.stat().st_size == SIZE


def test_the_next_process_finds_it_and_replaces_one_of_another_size(tmp_path: Path) -> None:
    Ballast(tmp_path, size_bytes=SIZE).make()
    assert Ballast(tmp_path, size_bytes=SIZE).is_there
    larger = Ballast(tmp_path, size_bytes=2 * SIZE)
    assert larger.is_missing
    larger.make()
    assert larger.path.stat().st_size == 2 * SIZE
    none = Ballast(tmp_path, size_bytes=0)
    none.make()
    assert (none.is_missing, none.path.exists()) == (False, False)


def test_a_sparse_file_holds_no_room(tmp_path: Path) -> None:
    with (tmp_path / BALLAST_NAME).open("wb") as file:
        file.truncate(SIZE)
    assert Ballast(tmp_path, size_bytes=SIZE).is_missing


def test_it_is_not_made_where_less_than_twice_its_size_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    monkeypatch.setattr(Ballast, "free_bytes", lambda _: 2 * SIZE - 1)
    ballast.make()
    assert ballast.is_missing
    assert not ballast.path.exists()


def test_the_next_process_sees_that_the_room_was_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Ballast(tmp_path, size_bytes=SIZE)
    first.make()
    first.release()
    monkeypatch.setattr(Ballast, "free_bytes", lambda _: 2 * SIZE - 1)
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    ballast.make()
    assert (ballast.is_missing, ballast.is_given_up) == (True, True)
    Ballast(tmp_path, size_bytes=0).make()
    assert not ballast.path.exists()


def test_where_it_cannot_be_made_again_after_all_it_stays_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no room")

    ballast = Ballast(tmp_path, size_bytes=SIZE)
    ballast.make()
    ballast.release()
    monkeypatch.setattr("os.posix_fallocate", refuse)
    ballast.make()
    assert (ballast.is_missing, ballast.is_given_up) == (True, True)


def test_where_a_file_cannot_be_cut_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no room to copy what is cut")

    ballast = Ballast(tmp_path, size_bytes=SIZE)
    ballast.make()
    monkeypatch.setattr("os.truncate", refuse)
    assert ballast.release()
    assert not ballast.path.exists()
