"""One service that fills the buffer leaves its neighbours room, seen from outside."""

from pathlib import Path

import grpc
import pytest

from metering.api.v1.usage_pb2 import UsageEvent
from metering.rpc import error_from_rpc
from tests.meter_agent.support import RunningAgent, event

BUDGET_BYTES = 4 << 20


def batch(number: int) -> list[UsageEvent]:
    """About 40 KiB of events."""
    return [event(f"{number}-{index}", dimensions={"k": "x" * 200}) for index in range(150)]


def fill(agent: RunningAgent, client: str) -> tuple[int, grpc.RpcError]:
    for number in range(1_000):
        try:
            agent.record(batch(number), client=client)
        except grpc.RpcError as error:
            return number, error
    pytest.fail("the budget was never used up")


def test_a_greedy_service_leaves_room_for_one_that_comes_later(tmp_path: Path) -> None:
    with RunningAgent(tmp_path, disk_budget_bytes=BUDGET_BYTES) as agent:
        # Two processes are one service: the second gets nothing more.
        greedy_count, refusal = fill(agent, "greedy/1")
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = error_from_rpc(refusal)
        assert (error.reason, error.retry_after_seconds) == ("BUFFER_FULL", 5.0)
        assert fill(agent, "greedy/2")[0] == 0
        status = agent.status()
        assert 0.93 * BUDGET_BYTES < status.buffered_bytes <= status.disk_refuse_bytes
        assert status.disk_refuse_bytes == BUDGET_BYTES * 95 // 100
        assert [text.partition(":")[0] for text in status.warnings] == ["DISK_BUDGET_NEARLY_FULL"]
        # The last twentieth is for who holds less.
        modest_count, _ = fill(agent, "modest/9")
        assert modest_count >= 4
        assert agent.status().buffered_event_count == (greedy_count + modest_count) * 150


def test_of_two_services_that_record_together_the_greedy_one_is_stopped_first(
    tmp_path: Path,
) -> None:
    with RunningAgent(tmp_path, disk_budget_bytes=BUDGET_BYTES) as agent:
        agent.record(batch(0), client="modest/9")
        greedy_count, refusal = fill(agent, "greedy/1")
        assert "more than its share" in error_from_rpc(refusal).message
        # 95 % - 25 % / 2 = 82.5 % of the budget.
        assert 0.79 * BUDGET_BYTES < agent.status().buffered_bytes <= 0.825 * BUDGET_BYTES
        modest_count, _ = fill(agent, "modest/9")
        assert modest_count > greedy_count // 6
