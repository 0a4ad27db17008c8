"""A killed agent whose file rots: what is readable is counted once, the rest is told everywhere."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import event, wait_until

GROUP_COUNT = 40
GROUP_EVENT_COUNT = 25


@pytest.fixture
def process(tmp_path: Path) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path)
    yield started
    started.kill()


def status(process: AgentProcess) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "meter_agent.cli", "status", "--json", "--address", process.address],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_a_rotten_block_is_left_out_counted_and_declared_and_the_others_arrive_once(
    process: AgentProcess, tmp_path: Path
) -> None:
    process.start()
    for number in range(GROUP_COUNT):
        process.record([event(f"{number:02}-{index:02}") for index in range(GROUP_EVENT_COUNT)])
    log = process.data_dir / "agent.db-wal"
    wait_until(lambda: log.stat().st_size == 0)  # All of it lies in the database.
    process.kill()
    database = process.data_dir / "agent.db"
    raw = database.read_bytes()
    assert raw.count(b"20-07") == 1
    database.write_bytes(raw.replace(b"20-07", b"20-08"))  # Still a good message, of another event.
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    with FakeServer(push_event_count_max=100) as server:
        process.start(f"--server={server.address}", f"--token-file={token_file}")
        whole = (GROUP_COUNT - 1) * GROUP_EVENT_COUNT
        assert server.wait_for_event_count(whole)
        wait_until(lambda: status(process)["buffered_event_count"] == 0)
        found = status(process)
        process.record([event("after")])
        assert server.wait_for_event_count(whole + 1)
        assert process.stop() == 0
        names = {event_id for event_id, _ in server.books.counted}
        assert not any(name.startswith("20-") for name in names)
        # The hole that the server sees is the block that could not be read.
        lost = sum(last - first + 1 for first, last in server.books.losses)
    assert (found["damaged_event_count"], lost) == (GROUP_EVENT_COUNT, GROUP_EVENT_COUNT)
    [warning] = found["warnings"]
    assert re.match(r"DATABASE_DAMAGED: .* checksum.* 25 could not be read", warning)
    assert len(list(process.data_dir.glob("agent.db.damaged-*.json"))) == 1
    assert '"event": "database_damaged"' in process.log_path.read_text()


def test_an_agent_starts_on_a_file_that_is_no_database_any_more(process: AgentProcess) -> None:
    process.start()
    process.record([event("before")])
    process.kill()
    database = process.data_dir / "agent.db"
    database.write_bytes(b"\x00" * 5_000)
    (process.data_dir / "agent.db-wal").unlink()
    process.start()
    process.record([event("after")])
    found = status(process)
    assert found["buffered_event_count"] == 1
    [warning] = found["warnings"]
    # What told of it, and not what callers would be told to do about it.
    assert re.match(r"DATABASE_DAMAGED: found at \S+ \(file is not a database\); 0 events", warning)
    [kept] = process.data_dir.glob("agent.db.damaged-*Z")
    assert kept.read_bytes() == b"\x00" * 5_000
