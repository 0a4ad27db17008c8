"""The console script against a fake agent: what it sends, prints, refuses and returns."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from metering.cli.app import parse_pairs
from metering.errors import ValidationError
from metering.testing import FakeAgent

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
METER = [sys.executable, "-W", "error", "-c", "from metering.cli.app import main; main()"]


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    with FakeAgent() as running:
        yield running


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:15:{number % 60:02d}.5,{number},{number * 2}" for number in range(700)]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def _meter(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*METER, *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def _replay(trace: Path, agent: str, *more: str) -> "subprocess.CompletedProcess[str]":
    start = ("--customers", "7", "--start", "2026-11-01T00:00:00Z")
    return _meter("replay", str(trace), *start, "--agent", agent, *more)


def test_recording_prints_the_id_once_the_agent_has_the_event(agent: FakeAgent) -> None:
    done = _meter(
        *("record", "--customer", "acme", "--agent", agent.address),
        *("--quantity", "input_tokens=1200", "--quantity", "gpu_seconds=0.35"),
        *("--dimension", "model=large", "--event-time", "2026-11-01T00:00:00+01:00"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    (event,) = agent.events
    assert done.stdout == f"{event.event_id}\n"
    assert dict(event.quantities) == {"input_tokens": "1200", "gpu_seconds": "0.35"}
    assert dict(event.dimensions) == {"model": "large"}
    assert event.event_time.ToJsonString() == "2026-10-31T23:00:00Z"


def test_a_given_id_is_kept(agent: FakeAgent) -> None:
    done = _meter(
        *("record", "--customer", "acme", "--quantity", "requests=1"),
        *("--event-id", "call-7", "--agent", agent.address),
    )
    assert done.stdout == "call-7\n"
    assert agent.events[0].event_id == "call-7"


def test_an_absent_agent_is_an_error_with_the_remedy() -> None:
    done = _meter(
        *("record", "--customer", "acme", "--quantity", "requests=1"),
        *("--agent", "127.0.0.1:1", "--timeout", "0.3"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the agent at 127.0.0.1:1 did not answer within 0.3 s")
    assert "meter-agent serve" in done.stderr


def test_a_refused_event_is_an_error_with_the_agent_s_reason(agent: FakeAgent) -> None:
    agent.reject_where(lambda _event: ("QUANTITY_MALFORMED", "'x' is no decimal"))
    done = _meter(
        "record", "--customer", "acme", "--quantity", "requests=x", "--agent", agent.address
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: QUANTITY_MALFORMED: 'x' is no decimal\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quantity", "requests"), "--quantity: 'requests' is no pair; write NAME=VALUE"),
        (("--quantity", "a=1", "--quantity", "a=2"), "--quantity: 'a' is given twice"),
        (("--quantity", "a=1", "--dimension", "=x"), "--dimension: '=x' is no pair"),
        (("--quantity", "a=1", "--event-time", "noon"), "noon"),
        (("--quantity", "a=1", "--agent", "nowhere"), "write HOST:PORT"),
    ],
)
def test_bad_arguments_name_the_option_and_the_remedy(
    arguments: tuple[str, ...], message: str
) -> None:
    done = _meter("record", "--customer", "acme", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_pairs_may_hold_further_equal_signs() -> None:
    assert parse_pairs(["a=b=c", "d="], option="--dimension") == {"a": "b=c", "d": ""}
    with pytest.raises(ValidationError, match="write NAME=VALUE"):
        parse_pairs(["a"], option="--dimension")


def test_a_replay_sends_every_row_and_is_silent_but_for_its_summary(
    agent: FakeAgent, trace: Path
) -> None:
    done = _replay(trace, agent.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("replayed 700 rows of trace.csv for 7 customers in ")
    assert done.stdout.endswith(" s: 700 accepted, 0 refused, 0 retries\n")
    assert len(agent.counted_events) == 700
    assert {event.customer_id for event in agent.events} == {f"customer-{n}" for n in range(7)}


def test_a_replay_run_twice_sends_equal_events(agent: FakeAgent, trace: Path) -> None:
    for _ in range(2):
        assert _replay(trace, agent.address).returncode == 0
    assert len(agent.events) == 1_400
    assert agent.events[:700] == agent.events[700:]
    assert len(agent.counted_events) == 700


def test_a_summary_can_be_read_by_programs(agent: FakeAgent, trace: Path) -> None:
    done = _replay(trace, agent.address, "--json", "--limit", "5", "--model", "large")
    summary = json.loads(done.stdout)
    expected = {"trace": "trace.csv", "rows": 5, "customers": 7, "accepted": 5, "rejected": 0}
    assert {key: summary[key] for key in expected} == expected
    assert [dict(event.dimensions) for event in agent.events] == [{"model": "large"}] * 5


def test_a_replay_survives_an_agent_that_is_killed_and_restarted(trace: Path) -> None:
    agent = FakeAgent().start()
    agent.lose_answers(1)
    back = threading.Thread(target=_restart_after_first_request, args=(agent,))
    back.start()
    done = _replay(trace, agent.address, "--speed", "60")
    back.join()
    agent.stop()
    assert (done.returncode, done.stderr) == (0, "")
    assert " 700 accepted, 0 refused" in done.stdout
    assert len(agent.counted_events) == 700


def _restart_after_first_request(agent: FakeAgent) -> None:
    assert agent.wait_for_request_count(1, timeout=30)
    agent.stop()
    agent.start()


def test_nothing_of_a_trace_with_a_mistake_at_its_end_is_sent(
    agent: FakeAgent, trace: Path
) -> None:
    with trace.open("a") as file:
        file.write("2023-11-16 18:16:00,12,many\n")
    done = _replay(trace, agent.address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {trace}:702 GeneratedTokens: 'many' is no count")
    assert agent.requests == []


def test_a_trace_that_is_not_there_is_an_error(agent: FakeAgent, tmp_path: Path) -> None:
    done = _replay(tmp_path / "none.csv", agent.address)
    assert done.returncode == 1
    assert "none.csv: cannot be read (No such file or directory)" in done.stderr
    assert "Traceback" not in done.stderr


def test_refused_rows_are_an_error_after_the_summary(agent: FakeAgent, trace: Path) -> None:
    agent.reject_where(
        lambda event: (
            ("EVENT_TIME_TOO_OLD", "too old") if event.customer_id == "customer-0" else None
        )
    )
    done = _replay(trace, agent.address)
    assert done.returncode == 1
    # Every seventh of the 700 rows is of customer-0.
    assert " 600 accepted, 100 refused" in done.stdout
    assert "100 events were refused and 0 dropped; the last: EVENT_TIME_TOO_OLD" in done.stderr


def test_an_agent_that_stays_away_ends_the_replay(trace: Path) -> None:
    done = _replay(trace, "127.0.0.1:1", "--patience", "0.3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the agent took nothing for 0.3 s" in done.stderr
    assert "700 events were not delivered" in done.stderr


@pytest.mark.parametrize("command", ["record", "replay"])
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    done = _meter(command, "--help")
    assert done.returncode == 0
    assert f"Example: meter {command}" in done.stdout
