"""Commits in the log that SQLite passes over: it reads the log up to the first bad frame.

Without a look at what lies behind, a log with one bad byte would lose everything behind that byte,
and nobody would know. The layout of the log and of its index is SQLite's
(https://sqlite.org/walformat.html).
"""

import contextlib
import sqlite3
import struct
from pathlib import Path
from typing import BinaryIO, Final

DAMAGE_COMMIT_COUNT_MIN: Final = 2
"""One commit may have been cut short by a power loss, before anybody was answered. Each is synced
before the next is written, so that more than one are damage."""

_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_SALTS: Final = slice(4, 6)
_FRAME_SALTS: Final = slice(2, 4)
_INDEX_FRAME_COUNT_OFFSET: Final = 16


def passed_over_commit_count(path: Path) -> int:
    """Returns the commits that lie in the log behind those that SQLite takes from it.

    Args:
        path: Of the database; nobody may write to it meanwhile.

    Returns:
        0 also where the database cannot be opened: that is told by whoever opens it.
    """
    log = path.with_name(f"{path.name}-wal")
    with contextlib.suppress(OSError, sqlite3.Error, struct.error):
        if log.stat().st_size > _LOG_HEADER.size:
            taken_count = _taken_frame_count(path)
            with log.open("rb") as opened:
                return _commits_behind(opened, frame_count=taken_count)
    return 0


def _taken_frame_count(path: Path) -> int:
    """Returns how many frames of the log SQLite takes; it writes this into the log's index."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with path.with_name(f"{path.name}-shm").open("rb") as index:
            index.seek(_INDEX_FRAME_COUNT_OFFSET)
            [count] = struct.unpack("=I", index.read(4))
            return int(count)


def _commits_behind(log: BinaryIO, *, frame_count: int) -> int:
    """Counts the last frames of commits behind the first `frame_count`, of this round of the log.

    Frames of an earlier round, which the log has begun to overwrite, have other salts.
    """
    header = _LOG_HEADER.unpack(log.read(_LOG_HEADER.size))
    page_bytes = header[2]
    commit_count = 0
    place = _LOG_HEADER.size + frame_count * (_FRAME_HEADER.size + page_bytes)
    while True:
        log.seek(place)
        raw = log.read(_FRAME_HEADER.size)
        if len(raw) < _FRAME_HEADER.size:
            return commit_count
        frame = _FRAME_HEADER.unpack(raw)
        # A frame that ends a commit tells the pages of the database behind it; others tell 0.
        if frame[1] > 0 and frame[_FRAME_SALTS] == header[_SALTS]:
            commit_count += 1
        place += _FRAME_HEADER.size + page_bytes
