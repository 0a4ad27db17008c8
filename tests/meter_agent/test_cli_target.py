"""Finding and calling the running agent."""

from pathlib import Path

import pytest

from meter_agent.cli_target import agent_targets, call_agent
from metering.api.v1.agent_pb2 import (
    ExtendReservationRequest,
    GetAgentStatusRequest,
)
from metering.errors import NotFoundError, UnavailableError
from tests.meter_agent.support import RunningAgent


def test_the_variable_names_the_agent_where_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METER_AGENT_ADDRESS", "127.0.0.1:1")
    nothing = {"data_dir": None, "config": None, "instance": None}
    assert agent_targets(None, **nothing) == ("127.0.0.1:1",)
    assert agent_targets("127.0.0.1:2", **nothing) == ("127.0.0.1:2",)
    found = agent_targets(None, data_dir=tmp_path, config=None, instance=None)
    assert "127.0.0.1:1" not in found


def test_the_first_agent_that_is_there_answers(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        targets = (f"unix:{tmp_path}/none.sock", agent.address)
        assert call_agent(targets, "GetAgentStatus", GetAgentStatusRequest()).version
        request = ExtendReservationRequest(reservation_id="r-9")
        with pytest.raises(NotFoundError):
            call_agent(targets, "ExtendReservation", request)


def test_no_agent_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"none\.sock") as caught:
        call_agent((f"unix:{tmp_path}/none.sock",), "GetAgentStatus", GetAgentStatusRequest())
    assert caught.value.reason == "AGENT_NOT_RUNNING"
