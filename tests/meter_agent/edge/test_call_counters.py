"""What became of the events and calls of callers."""

from pathlib import Path

import grpc
import pytest

from meter_agent.edge.call_counters import CallCounters
from tests.meter_agent.support import RunningAgent, event


def test_events_and_calls_are_counted_by_reason() -> None:
    counters = CallCounters()
    counters.recorded(5, rejected_reasons=["QUANTITY_NEGATIVE", "EVENT_TIME_TOO_OLD"])
    counters.recorded(1, rejected_reasons=["QUANTITY_NEGATIVE"])
    counters.refused("BUFFER_FULL")
    view = counters.view()
    assert view.accepted == 6
    assert view.rejected == {"QUANTITY_NEGATIVE": 2, "EVENT_TIME_TOO_OLD": 1}
    assert (view.rejected_count, view.refused_calls) == (3, {"BUFFER_FULL": 1})


def test_the_service_counts_what_it_answers(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record([event("a"), event("b", quantities={"input_tokens": "-1"})])
        with pytest.raises(grpc.RpcError):
            agent.record([])
        view = agent.agent._service.counters.view()
    assert (view.accepted, view.rejected) == (1, {"QUANTITY_NEGATIVE": 1})
    assert view.refused_calls == {"EVENTS_MISSING": 1}
