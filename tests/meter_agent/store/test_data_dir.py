"""The data directory: made, locked for one process, on a local disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meter_agent.store.data_dir import (
    LOCK_NAME,
    DataDirectory,
    refuse_network_file_system,
    sync_directory,
)
from metering.errors import InvalidStateError, PermissionDeniedError, ValidationError

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:40 / /mnt/share rw shared:5 - nfs4 filer:/export rw
32 31 0:41 / /mnt/share/local rw - xfs /dev/vdb rw
33 22 0:42 / /mnt/with\\040space rw - cifs //filer/x rw
a broken line
"""


def test_a_missing_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with DataDirectory(path) as directory:
        assert directory.database_path == path / "agent.db"
        assert path.stat().st_mode & 0o777 == 0o750
        assert (path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_a_second_agent_on_the_directory_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    with DataDirectory(tmp_path), pytest.raises(InvalidStateError) as caught:
        DataDirectory(tmp_path)
    assert caught.value.reason == "AGENT_ALREADY_RUNNING"
    assert str(tmp_path) in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    assert "--data-dir" in caught.value.message
    DataDirectory(tmp_path).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from meter_agent.store.data_dir import DataDirectory; "
        "held = DataDirectory(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert (tmp_path / LOCK_NAME).exists()
    DataDirectory(tmp_path).close()


def test_a_path_that_cannot_be_a_directory_is_refused_with_the_flag(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionDeniedError, match="--data-dir") as caught:
        DataDirectory(tmp_path / "file" / "below")
    assert caught.value.reason == "DATA_DIR_NOT_WRITABLE"


@pytest.mark.parametrize("path", ["/mnt/share", "/mnt/share/a/b", "/mnt/with space"])
def test_a_network_file_system_is_refused(path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        refuse_network_file_system(Path(path), mount_table=MOUNTS)
    assert caught.value.reason == "DATA_DIR_ON_NETWORK"


@pytest.mark.parametrize("path", ["/", "/mnt", "/mnt/share/local/data", "/mnt/shares"])
def test_the_longest_mount_point_decides(path: str) -> None:
    refuse_network_file_system(Path(path), mount_table=MOUNTS)


def test_a_directory_can_be_synced(tmp_path: Path) -> None:
    sync_directory(tmp_path)
