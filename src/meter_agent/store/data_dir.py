"""The agent's directory: made, synced, on a local disk, and owned by one process at a time."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Self

from metering.errors import InvalidStateError, PermissionDeniedError, ValidationError

DATABASE_NAME: Final = "agent.db"
LOCK_NAME: Final = "agent.lock"
DIRECTORY_MODE: Final = 0o750
FILE_MODE: Final = 0o600
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3"}
    | {"smbfs", "fuse.cephfs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "fuse.rclone"}
)
"""Where locks and fsync do not mean what the agent's promise needs (protocol section 2)."""

_PID_BYTES_MAX: Final = 32
_MOUNT_POINT_COLUMN: Final = 4


class DataDirectory:
    """A data directory that this process holds, until it is closed or the process ends.

    Args:
        path: The directory; made where it is missing.

    Raises:
        InvalidStateError: AGENT_ALREADY_RUNNING where another process holds it.
        PermissionDeniedError: DATA_DIR_NOT_WRITABLE.
        ValidationError: DATA_DIR_ON_NETWORK.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path.absolute()
        self._lock_fd = -1
        try:
            _make_directory(self.path)
            refuse_network_file_system(self.path)
            lock_fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise PermissionDeniedError(
                reason="DATA_DIR_NOT_WRITABLE",
                message=f"the data directory {self.path} cannot be used ({error.strerror}); give "
                "a writable one with --data-dir, or let the agent's user own it",
                metadata={"data_dir": str(self.path)},
            ) from error
        self._take_lock(lock_fd)

    @property
    def database_path(self) -> Path:
        """Path of the buffer's database."""
        return self.path / DATABASE_NAME

    def close(self) -> None:
        """Gives the directory free. The lock file stays: removing it would race."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_lock(self, lock_fd: int) -> None:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock_fd, _PID_BYTES_MAX, 0).decode("ascii", "replace").strip()
            os.close(lock_fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise already_running_error(self.path, holder=holder) from error
        # The pid is for people: where a full disk has no room for it, the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(lock_fd, 0)
            os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = lock_fd


def already_running_error(data_dir: Path, *, holder: str) -> InvalidStateError:
    """Returns what is told where another process holds a data directory.

    Args:
        data_dir: The directory.
        holder: Its process id; empty where it is not known.
    """
    return InvalidStateError(
        reason="AGENT_ALREADY_RUNNING",
        message=f"another agent (pid {holder or 'unknown'}) uses the data directory {data_dir}; "
        "stop it, or give this one its own with --data-dir or --instance",
        metadata={"data_dir": str(data_dir), "pid": holder},
    )


def refuse_network_file_system(path: Path, *, mount_table: str | None = None) -> None:
    """Refuses a directory that lies on a network file system.

    Args:
        path: An existing directory.
        mount_table: Text in the form of /proc/self/mountinfo; that of this process where None.

    Raises:
        ValidationError: DATA_DIR_ON_NETWORK.
    """
    if mount_table is None:
        try:
            mount_table = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        except OSError:
            return  # Not Linux: nothing to read, and flock is still a guard on one host.
    file_system = _file_system_of(path.resolve(), mount_table)
    if file_system in NETWORK_FILE_SYSTEMS:
        raise ValidationError(
            reason="DATA_DIR_ON_NETWORK",
            message=f"the data directory {path} lies on a network file system ({file_system}), "
            "which cannot promise that what was synced is kept; give a local one with --data-dir",
            metadata={"data_dir": str(path), "file_system": file_system},
        )


def sync_directory(path: Path) -> None:
    """Makes the entries of a directory durable."""
    directory_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)


def _make_directory(path: Path) -> None:
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        sync_directory(part.parent)


def _file_system_of(path: Path, mount_table: str) -> str:
    """Returns the type of the file system of the longest mount point that holds `path`."""
    best_length, best = -1, ""
    for line in mount_table.splitlines():
        left, _, right = line.partition(" - ")
        columns = left.split(" ")
        if len(columns) <= _MOUNT_POINT_COLUMN or not right:
            continue
        mount_point = Path(columns[_MOUNT_POINT_COLUMN].replace("\\040", " "))
        length = len(mount_point.parts)
        if length >= best_length and path.is_relative_to(mount_point):
            best_length, best = length, right.split(" ")[0]
    return best
