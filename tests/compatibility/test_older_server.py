"""The present agent towards an older server, and the present SDK towards an older agent."""

from pathlib import Path
from typing import Any

from meter_agent.config import AgentSettings
from meter_agent.doctor.examine import examine
from metering import Meter
from metering.clock import SystemClock
from tests.compatibility.older import OlderServer, older_messages
from tests.meter_agent.support import RunningAgent, events, numbered, wait_until

APPLIED = 1


class Books:
    """An older server's position and what it has counted."""

    def __init__(self) -> None:
        self.session_no = 0
        self.applied_seq = 0
        self.counted: list[str] = []

    def open_session(self, request: Any) -> dict[str, Any]:
        self.session_no += 1
        # An older server answers without bounds of a push: the agent's own hold.
        return {
            "agent_id": "agt_1",
            "session_no": self.session_no,
            "server_incarnation": "older",
            "applied_seq": self.applied_seq,
            "safe_seq": self.applied_seq,
        }

    def push_usage(self, request: Any) -> dict[str, Any]:
        for block in request.blocks:
            found = older_messages()["UsageEvents"].FromString(block.events)
            self.counted += [event.event_id for event in found.events]
            self.applied_seq = block.first_seq + block.event_count - 1
        return {
            "result": APPLIED,
            "server_incarnation": "older",
            "applied_seq": self.applied_seq,
            "safe_seq": self.applied_seq,
            "counted": sum(block.event_count for block in request.blocks),
        }

    def server(self) -> OlderServer:
        return OlderServer(
            "IngestService",
            methods={"OpenSession": self.open_session, "PushUsage": self.push_usage},
        )


def test_the_present_agent_ships_to_an_older_server(tmp_path: Path) -> None:
    books = Books()
    with (
        books.server() as server,
        RunningAgent(tmp_path, server=server.address, token="mat_1") as agent,
    ):
        agent.record(numbered(0, 30))
        agent.wait_until_drained()
        agent.record(events("last"))
        agent.wait_until_drained()
        status = agent.status()
    assert books.counted == [*(f"event-{number}" for number in range(30)), "last"]
    assert (status.agent_id, status.counted_count, status.imbalance_count) == ("agt_1", 31, 0)
    assert books.session_no == 1


def test_the_present_agent_goes_on_where_the_older_server_was_upgraded_meanwhile(
    tmp_path: Path,
) -> None:
    books = Books()
    with (
        books.server() as server,
        RunningAgent(tmp_path, server=server.address, token="mat_1") as agent,
    ):
        agent.record(numbered(0, 3))
        agent.wait_until_drained()
    # The agent was stopped; the books are the same when it opens its next session.
    with (
        books.server() as server,
        RunningAgent(tmp_path, server=server.address, token="mat_1") as agent,
    ):
        agent.record(numbered(3, 5))
        wait_until(lambda: len(books.counted) == 5)
    assert books.counted == [f"event-{number}" for number in range(5)]


def test_the_doctor_says_that_a_server_is_too_old_to_be_asked(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("mat_1")
    token_file.chmod(0o600)
    with Books().server() as server:
        settings = AgentSettings(
            listen=(f"unix:{tmp_path}/a.sock",),
            data_dir=tmp_path / "data",
            server=server.address,
            token_file=token_file,
        )
        found = {finding.reason: finding for finding in examine(settings, clock=SystemClock())}
    assert "SERVER_OLDER" in found
    assert "upgrade" in found["SERVER_OLDER"].remedy


def test_the_present_sdk_records_at_an_older_agent() -> None:
    recorded: list[str] = []

    def record_usage(request: Any) -> dict[str, Any]:
        recorded.extend(event.event_id for event in request.events)
        return {"accepted_count": len(request.events), "agent_id": "agt_1"}

    with (
        OlderServer("AgentService", methods={"RecordUsage": record_usage}) as agent,
        Meter(agent.address) as meter,
    ):
        made = [
            meter.record(customer="acme", quantities={"input_tokens": number})
            for number in range(5)
        ]
        assert meter.flush(timeout=30)
        assert meter.stats().accepted == 5
    assert recorded == made


def test_an_older_server_that_takes_no_join_tokens_is_told_with_the_remedy(tmp_path: Path) -> None:
    join_token_file = tmp_path / "join-token"
    join_token_file.write_text("mjt_1")
    with (
        Books().server() as server,
        RunningAgent(tmp_path, server=server.address, join_token_file=join_token_file) as agent,
    ):
        agent.record(events("kept"))
        wait_until(lambda: "takes no join tokens" in agent.status().last_error)
        status = agent.status()
    assert "--token-file" in status.last_error
    assert (status.is_server_reachable, status.buffered_event_count) == (True, 1)
