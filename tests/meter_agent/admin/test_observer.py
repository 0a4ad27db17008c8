"""What the running agent shows of itself: scraped, probed, and in its status."""

import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meter_agent.bootstrap import Agent
from meter_agent.config import AgentSettings
from meter_agent.core.positions import Positions
from tests.meter_agent.fake_server import AGENT_ID, TOKEN, FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import (
    WAIT_SECONDS,
    RunningAgent,
    event,
    events,
    numbered,
    wait_until,
)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path)
    yield started
    started.kill()


def admin_of(process: AgentProcess) -> str:
    return process.banner.strip().rpartition("admin on ")[2]


def get(admin: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(admin: str) -> Samples:
    code, text = get(admin, "/metrics")
    assert code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"meter_agent_{name}", frozenset(labels.items())]


def test_a_scrape_of_a_real_agent_shows_what_it_did(process: AgentProcess, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    with FakeServer() as server:
        process.start(
            "--admin-listen=127.0.0.1:0",
            f"--server={server.address}",
            f"--token-file={token_file}",
        )
        admin = admin_of(process)
        process.record(numbered(0, 20))
        process.record(numbered(0, 5))
        wait_until(lambda: value(scrape(admin), "applied_position") == 25)
        wait_until(lambda: value(scrape(admin), "events_acked_total", result="counted") == 20)
        found = scrape(admin)
        wait_until(lambda: get(admin, "/readyz") == (200, "ready\n"))
        assert process.stop() == 0
    # 25 accepted = 20 counted + 5 duplicates + 0 buffered.
    assert value(found, "events_accepted_total") == 25
    assert value(found, "events_acked_total", result="duplicate") == 5
    assert value(found, "events_acked_total", result="conflict") == 0
    assert value(found, "events_acked_total", result="quarantined") == 0
    assert value(found, "buffered_events") == 0
    assert value(found, "conservation_imbalance_events") == 0
    assert (value(found, "safe_position"), value(found, "next_position")) == (25, 26)
    assert value(found, "commit_seconds_count") >= 4  # two appends, a session, an ack
    assert value(found, "commit_slowest_seconds") > 0
    assert (value(found, "server_reachable"), value(found, "server_away_seconds")) == (1, 0)
    assert value(found, "sessions_total") == 1
    assert value(found, "drain_events_per_second") > 0
    assert value(found, "disk_budget_bytes") == 1 << 30
    assert value(found, "disk_refuse_bytes") == (1 << 30) * 95 // 100
    assert value(found, "ready") == 1
    assert ("process_resident_memory_bytes", frozenset()) in found
    [info] = [dict(labels) for name, labels in found if name == "meter_agent_build_info"]
    assert info["agent_id"] == AGENT_ID
    assert TOKEN not in str(found)


def test_rejects_are_shown_by_reason_and_the_backlog_by_age(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record([event("a"), event("b", quantities={"input_tokens": "-1"})])
        observer = agent.agent._observer
        observer.sampler.take()
        text = observer.pages().metrics().decode()
    assert 'meter_agent_events_rejected_total{reason="QUANTITY_NEGATIVE"} 1.0' in text
    assert "meter_agent_buffered_events 1.0" in text
    assert "meter_agent_buffered_bytes 0.0" not in text
    assert "meter_agent_server_reachable 0.0" in text


def test_liveness_and_metrics_answer_while_the_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, asked = threading.Event(), threading.Event()

    def hang(_: object) -> object:
        asked.set()
        assert answering.wait(WAIT_SECONDS)
        raise OSError

    monkeypatch.setattr("meter_agent.admin.sampler.shutil.disk_usage", hang)
    with RunningAgent(tmp_path, admin_listen="127.0.0.1:0") as agent:
        assert asked.wait(WAIT_SECONDS)
        # The writer hangs as well, in the middle of a commit.
        commit = threading.Thread(target=lambda: agent.agent._writer.change(_hang_in(answering)))
        commit.start()
        assert agent.agent.admin_bound is not None
        admin = agent.agent.admin_bound.target
        assert get(admin, "/livez") == (200, "live\n")
        assert value(scrape(admin), "next_position") == 1
        agent.agent._observer.sampler._clock = _Later()
        assert "the disk has not answered" in get(admin, "/readyz")[1]
        answering.set()
        commit.join(WAIT_SECONDS)


class _Later:
    """A clock an hour ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)

    def monotonic(self) -> float:
        return time.monotonic() + 3_600


def _hang_in(answering: threading.Event) -> Callable[[Positions], Positions]:
    def change(state: Positions) -> Positions:
        assert answering.wait(WAIT_SECONDS)
        return state

    return change


def test_a_full_disk_is_not_ready_and_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunningAgent(tmp_path) as agent:
        observer = agent.agent._observer
        pages = observer.pages()
        observer.sampler.take()
        assert pages.why_not_ready() == ""
        usage = os.statvfs(tmp_path)
        free = type("Usage", (), {"free": 4_096, "total": usage.f_blocks})()
        monkeypatch.setattr("meter_agent.admin.sampler.shutil.disk_usage", lambda _: free)
        observer.sampler.take()
        assert "the disk is full: 4096 bytes" in pages.why_not_ready()
        assert pages.why_not_live() == ""
        monkeypatch.undo()
        observer.sampler.take()
        assert pages.why_not_ready() == ""


def test_a_stop_is_announced_first_and_calls_are_served_all_the_while(
    process: AgentProcess,
) -> None:
    process.start("--admin-listen=127.0.0.1:0", "--pre-stop-seconds=300")
    admin = admin_of(process)
    os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: get(admin, "/readyz")[0] == 503)
    assert get(admin, "/readyz")[1] == "not ready: the agent is stopping\n"
    assert get(admin, "/livez")[0] == 200
    process.record(events("a"))
    assert not process.has_ended()


def test_a_stop_waits_as_long_as_was_asked(tmp_path: Path) -> None:
    settings = AgentSettings(
        listen=(f"unix:{tmp_path}/a.sock",), data_dir=tmp_path / "data", pre_stop_seconds=0.5
    )
    agent = Agent(settings)
    agent.start()
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began >= 0.5


def test_the_status_carries_what_the_server_did(tmp_path: Path) -> None:
    with (
        FakeServer(safe_lag=1_000) as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        agent.record(numbered(0, 8))
        agent.record(numbered(0, 2))
        wait_until(lambda: agent.status().counted_count + agent.status().duplicate_count == 10)
        agent.agent._observer.sampler.take()
        status = agent.status()
        assert (status.counted_count, status.duplicate_count) == (8, 2)
        assert (status.imbalance_count, status.declared_lost_count, status.gap_count) == (0, 0, 0)
        assert status.server_incarnation == server.books.incarnation
        assert status.HasField("oldest_kept_time")
        assert not status.HasField("offline_since_time")
        assert status.slowest_commit_seconds > 0
        assert status.disk_warn_bytes == (1 << 30) * 70 // 100
        server.stop()
        agent.record(events("more"))
        wait_until(lambda: agent.status().HasField("offline_since_time"))


def test_an_admin_port_that_cannot_be_bound_leaves_nothing_held(tmp_path: Path) -> None:
    with FakeServer() as other:
        settings = AgentSettings(
            listen=(f"unix:{tmp_path}/a.sock",),
            data_dir=tmp_path / "data",
            admin_listen=other.address,
        )
        with pytest.raises(Exception, match="--admin-listen"):
            Agent(settings)
    agent = Agent(settings)
    agent.start()
    agent.stop()
