"""Forks and ends of processes: nothing doubled, nothing hangs, nothing silently lost."""

import os
import subprocess
import sys
import threading
import time

import pytest

from metering import Meter, MeterOptions
from metering.client.lifecycle import FORK_TIMEOUT_SECONDS, flush_engines, pause_engines
from metering.testing import FakeAgent

METER = (
    "from metering import Meter, MeterOptions\n"
    "meter = Meter(options=MeterOptions(exit_timeout_seconds=20.0))\n"
)
"""Gives the end of its process more time than a slow machine needs."""


class RecordingEngine:
    """Notes what it is asked for, and takes its time."""

    def __init__(self, *, exit_timeout_seconds: float) -> None:
        self.exit_timeout_seconds = exit_timeout_seconds
        self.timeouts: list[float] = []
        self.stops = 0

    def flush(self, *, timeout_seconds: float) -> bool:
        self.timeouts.append(timeout_seconds)
        time.sleep(timeout_seconds)
        return False

    def stop(self) -> None:
        self.stops += 1

    def pause_for_fork(self, *, timeout_seconds: float) -> None:
        self.timeouts.append(timeout_seconds)
        time.sleep(timeout_seconds)

    def resume_after_fork(self) -> None:
        raise AssertionError

    def reset_after_fork(self) -> None:
        raise AssertionError


def test_the_end_of_the_process_is_bounded_for_all_meters_together() -> None:
    engines = [RecordingEngine(exit_timeout_seconds=0.5) for _ in range(4)]
    flush_engines(engines)
    assert [engine.stops for engine in engines] == [1, 1, 1, 1]
    # The first may use the whole bound; those after it find it spent.
    assert engines[0].timeouts[0] > 0
    assert engines[-1].timeouts == [0]


def test_a_fork_waits_for_requests_within_one_bound_for_all_meters() -> None:
    engines = [RecordingEngine(exit_timeout_seconds=0.0) for _ in range(3)]
    pause_engines(engines)
    [first], *others = [engine.timeouts for engine in engines]
    assert 0 < first <= FORK_TIMEOUT_SECONDS
    assert others == [[0], [0]]


def test_a_fork_does_not_wait_for_an_agent_that_hangs() -> None:
    with FakeAgent() as agent:
        # Longer than a test may take: who waited for it would not come through.
        agent.delay(3_600.0)
        meter = Meter(agent.address, options=MeterOptions(request_timeout_seconds=3_600.0))
        meter.record(customer="acme", quantities={"requests": 1})
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        agent.recover()
        assert meter.close(timeout=30)


def test_a_fork_does_not_wait_for_a_reservation_that_hangs() -> None:
    options = MeterOptions(quota_timeout_seconds=3_600.0)
    with FakeAgent() as agent, Meter(agent.address, options=options) as meter:
        agent.delay(3_600.0)
        is_asked = threading.Event()

        def use() -> None:
            is_asked.set()
            with meter.reserve(customer="acme", quantities={"tokens": 1}) as reservation:
                reservation.settle({"tokens": 1})

        calling = threading.Thread(target=use)
        calling.start()
        assert is_asked.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        agent.recover()
        calling.join(30)
        assert [dict(event.quantities) for event in agent.events] == [{"tokens": "1"}]


def _run(code: str, address: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "METER_AGENT_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_process_that_turns_sigterm_into_an_exit_has_delivered() -> None:
    code = (
        "import signal, sys\n"
        f"{METER}"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "for number in range(500):\n"
        "    meter.record(customer='acme', quantities={'requests': 1}, event_id=str(number))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    with FakeAgent() as agent:
        done = _run(code, agent.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(agent.counted_events) == 500


def test_a_process_that_just_ends_has_delivered() -> None:
    code = (
        f"{METER}"
        "for number in range(500):\n"
        "    meter.record(customer='acme', quantities={'requests': 1}, event_id=str(number))\n"
    )
    with FakeAgent() as agent:
        done = _run(code, agent.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(agent.counted_events) == 500


def test_a_process_that_ends_without_an_agent_ends_soon_and_says_what_is_lost() -> None:
    code = (
        "from metering import Meter\nMeter().record(customer='acme', quantities={'requests': 1})\n"
    )
    done = _run(code, "127.0.0.1:1")  # Which gives it a bound, and not for ever.
    assert done.returncode == 0
    assert "1 usage events are lost" in done.stderr


def test_a_child_of_multiprocessing_delivers_at_its_end() -> None:
    code = (
        "import multiprocessing\n"
        f"{METER}"
        "def work(number):\n"
        "    meter.record(customer='acme', quantities={'requests': 1}, event_id=str(number))\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('fork')\n"
        "    children = [context.Process(target=work, args=(n,)) for n in range(3)]\n"
        "    for child in children: child.start()\n"
        "    for child in children: child.join()\n"
    )
    with FakeAgent() as agent:
        done = _run(code, agent.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(event.event_id for event in agent.events) == ["0", "1", "2"]


@pytest.mark.parametrize("is_sending", [False, True])
def test_a_forked_child_sends_its_own_events_and_none_of_its_parents(is_sending: bool) -> None:
    code = (
        "import os, sys\n"
        "from metering import Meter, MeterOptions\n"
        "meter = Meter(options=MeterOptions(linger_seconds=0.2))\n"
        f"if {is_sending}:\n"
        "    meter.record(customer='acme', quantities={'requests': 1}, event_id='before')\n"
        "    meter.flush(timeout=10)\n"
        "meter.record(customer='acme', quantities={'requests': 1}, event_id='parent')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert meter.stats().recorded == 0\n"
        "    meter.record(customer='acme', quantities={'requests': 1}, event_id='child')\n"
        "    is_flushed = meter.flush(timeout=10)\n"
        "    os._exit(0 if is_flushed and meter.stats().accepted == 1 else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "assert meter.flush(timeout=10)\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    with FakeAgent() as agent:
        done = _run(code, agent.address)
        assert (done.returncode, done.stderr) == (0, "")
        names = sorted(event.event_id for event in agent.events)
        assert names == sorted(["child", "parent", *(["before"] if is_sending else [])])


def test_ids_made_in_parent_and_child_differ() -> None:
    code = (
        "import os\n"
        "from metering import Meter\n"
        "meter = Meter()\n"
        "meter.record(customer='acme', quantities={'requests': 1})\n"
        "child = os.fork()\n"
        "for _ in range(200):\n"
        "    meter.record(customer='acme', quantities={'requests': 1})\n"
        "assert meter.flush(timeout=10)\n"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
    )
    with FakeAgent() as agent:
        done = _run(code, agent.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(agent.counted_events) == 401


def test_a_closed_meter_is_left_alone_at_the_end() -> None:
    with FakeAgent() as agent:
        meter = Meter(agent.address, options=MeterOptions(exit_timeout_seconds=0.0))
        meter.record(customer="acme", quantities={"requests": 1})
        assert meter.close()
        flush_engines([meter._engine])
        assert meter.stats().accepted == 1
