"""Memory does not grow with the backlog: filled, held, shipped and repaired by pages."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

EVENT_COUNT = 300_000
GROWTH_BYTES_MAX = 60 << 20
"""Far below the backlog of some 40 MB with its Python objects (several hundred MB)."""

_PROGRAM = """
import resource, sys
from pathlib import Path
from tests.meter_agent.support import Store, event, packed, NOW, NOW_US
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import repair_database

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

directory, event_count = Path(sys.argv[1]), int(sys.argv[2])
with Store(directory) as store:
    before = peak()
    for start in range(0, event_count, 1_000):
        items = [event(f"event-{number:012d}") for number in range(start, start + 1_000)]
        store.record(items, receive_time_us=NOW_US + start)
    reader = OutboxReader(store.path)
    first_seq = 1
    while page := reader.page(first_seq=first_seq, event_count_max=5_000, bytes_max=4 << 20):
        first_seq = page[-1].last_seq + 1
    reader.close()
    assert first_seq == event_count + 1, first_seq
report = repair_database(store.path, cause="a test", now=NOW)
assert report.salvaged_event_count == event_count, report
print(before, peak(), store.path.stat().st_size)
"""


@pytest.mark.skipif(resource.getpagesize() <= 0, reason="needs getrusage")
def test_300_000_events_are_kept_read_and_salvaged_in_bounded_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path), str(EVENT_COUNT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    before, after, size = map(int, done.stdout.split()[-3:])
    assert size > 15 << 20  # The backlog is really there.
    assert after - before < GROWTH_BYTES_MAX
