"""The running agent, as a service would reach it."""

import socket
from pathlib import Path

import pytest

from meter_agent.doctor import running
from meter_agent.doctor.finding import Finding, Severity
from meter_agent.edge.addresses import Address
from metering.api.v1.agent_pb2 import GetAgentStatusResponse
from tests.meter_agent.support import RunningAgent, numbered


def reasons(findings: list[Finding]) -> list[str]:
    assert all(item.remedy for item in findings if item.reason)
    return [item.reason for item in findings]


def test_a_running_agent_is_found_and_asked(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record(numbered(0, 3))
        findings = running.check_addresses([Address(socket_path=tmp_path / "agent.sock")])
    assert "holds 3 events" in findings[-1].message
    assert not any(item.severity is Severity.ERROR for item in findings)


def test_no_agent_is_a_warning_that_names_where_was_looked(tmp_path: Path) -> None:
    [found] = running.check_addresses([Address(socket_path=tmp_path / "none.sock")])
    assert found.reason == "AGENT_NOT_RUNNING"
    assert f"{tmp_path}/none.sock" in found.message


def test_a_socket_that_a_killed_agent_left_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    found = running.check_addresses([Address(socket_path=path)])
    assert reasons(found) == ["SOCKET_STALE", "AGENT_NOT_RUNNING"]


def test_a_file_in_the_socket_s_place_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("")
    found = running.check_addresses([Address(socket_path=path)])
    assert reasons(found) == ["ADDRESS_IN_USE", "AGENT_NOT_RUNNING"]


def test_a_socket_that_this_user_may_not_use_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunningAgent(tmp_path):
        monkeypatch.setattr(running, "_connection_refusal", lambda _: PermissionError(13, "no"))
        found = running.check_addresses([Address(socket_path=tmp_path / "agent.sock")])
    assert found[0].reason == "SOCKET_NOT_REACHABLE"


def test_what_the_agent_says_of_itself_is_judged() -> None:
    status = GetAgentStatusResponse(
        imbalance_count=2,
        declared_lost_count=3,
        quarantined_count=4,
        conflict_count=1,
        last_error="the server is away",
    )
    findings = running.judge_status(status)
    assert reasons(findings) == [
        "",
        "CONSERVATION_BROKEN",
        "EVENTS_LOST",
        "EVENTS_NOT_COUNTED",
        "NOT_SHIPPING",
    ]
    assert [item.severity for item in findings[1:3]] == [Severity.ERROR, Severity.ERROR]
    assert reasons(running.judge_status(GetAgentStatusResponse())) == [""]
