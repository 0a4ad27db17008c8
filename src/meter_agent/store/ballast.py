"""A file that only takes up room, so that room can be made when the disk is full.

Deleting rows needs room too: the log must grow before the database can shrink. On a full disk the
ballast is emptied, acknowledged rows are deleted in its place, and it is made again once there is
twice its size free. The empty file stays: it tells the next process that the room is spoken for.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import structlog

from meter_agent.store.data_dir import FILE_MODE, sync_directory

BALLAST_NAME: Final = "agent.ballast"

_LOG = structlog.get_logger("meter_agent.store")


class Ballast:
    """The file, there or not. Used by one thread after it was made.

    Args:
        directory: The data directory.
        size_bytes: Size of the file, >= 0; 0: there is never one.
    """

    def __init__(self, directory: Path, *, size_bytes: int) -> None:
        self._directory = directory
        self.path: Final = directory / BALLAST_NAME
        self.size_bytes: Final = size_bytes
        self._is_there = self._is_whole()

    @property
    def is_there(self) -> bool:
        """Whether the file holds its room."""
        return self._is_there

    @property
    def is_missing(self) -> bool:
        """Whether there should be a file that holds room, and is none."""
        return self.size_bytes > 0 and not self._is_there

    @property
    def is_given_up(self) -> bool:
        """Whether the room was given free on a full disk, by this process or one before."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return False

    def free_bytes(self) -> int:
        """Returns the bytes that are free on the disk of the data directory."""
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize

    def make(self) -> None:
        """Makes the file where there is twice its size free; a file of another size goes first."""
        if self._is_there:
            return
        was_given_up = self.is_given_up
        if self.size_bytes == 0 or not was_given_up:
            self._delete()
        if self.size_bytes == 0:
            return
        try:
            if self.free_bytes() < 2 * self.size_bytes:
                return
            self._allocate()
        except OSError as error:
            _LOG.warning("ballast_not_made", path=str(self.path), error=str(error))
            self._empty_or_delete() if was_given_up else self._delete()
            return
        self._is_there = True

    def release(self) -> bool:
        """Empties the file; returns whether that gave room free."""
        was_there, self._is_there = self._is_there, False
        if not was_there:
            return False
        try:
            self._empty_or_delete()
        except OSError as error:
            _LOG.warning("ballast_not_released", path=str(self.path), error=str(error))
            return False
        return True

    def _empty_or_delete(self) -> None:
        """Gives the room free; a file system that copies on write may have none to cut a file."""
        try:
            os.truncate(self.path, 0)
        except OSError:
            self.path.unlink(missing_ok=True)

    def _delete(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _is_whole(self) -> bool:
        try:
            found = self.path.stat()
        except OSError:
            return False
        # A sparse file of the right length would hold no room.
        return self.size_bytes > 0 and found.st_size == self.size_bytes <= found.st_blocks * 512

    def _allocate(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, FILE_MODE)
        try:
            os.posix_fallocate(file, 0, self.size_bytes)
            os.fsync(file)
        finally:
            os.close(file)
        sync_directory(self._directory)
