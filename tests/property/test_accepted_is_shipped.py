"""What the agent answers OK, the server takes: otherwise nothing behind it is ever shipped."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import grpc
from hypothesis import example, given
from hypothesis import strategies as st

from billing_server.services.usage_payload import PushedBlock, UsagePush, decode_push
from meter_agent.edge.agent_service import AgentService
from meter_agent.quota.desk import QuotaDesk
from meter_agent.store.applied_watch import AppliedWatch
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation
from metering.api.v1 import agent_pb2
from metering.clock import ManualClock
from metering.errors import ValidationError
from tests.meter_agent.support import NOW, event, packed

CONTEXT = cast(
    grpc.ServicerContext,
    SimpleNamespace(
        time_remaining=lambda: None, invocation_metadata=lambda: (), peer=lambda: "unix:"
    ),
)
NO_LIMITS = cast(QuotaDesk, SimpleNamespace(is_limited=lambda _: False))
# Field 9 as a varint, 10 as eight bytes, 11 as four, 12 as a text, 13 as a group.
UNKNOWN = [b"\x48\x81\x01", b"\x51" + b"8" * 8, b"\x5d4444", b"\x62\x02hi", b"\x6b\x6c"]
LEVELS = [b"\x10\x00", b"\x10\x01", b"\x90\x00\x00"]


def varint(number: int, *, padding: int = 0) -> bytes:
    """Returns a varint, longer than it need be by `padding` bytes."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F)
    digits += [0] * padding
    return bytes([digit | 0x80 for digit in digits[:-1]] + digits[-1:])


ENTRIES = st.builds(
    lambda tag, item, inner, padding: (
        tag + varint(len(item) + len(inner), padding=padding) + item + inner
    ),
    st.sampled_from([b"\x0a", b"\x8a\x00", b"\x8a\x80\x00"]),
    st.sampled_from([event("a"), event("b", seconds=1_773_144_000), event("")]).map(
        lambda item: item.SerializeToString()
    ),
    st.sampled_from([b"", *UNKNOWN, b"\x0a\x01x", b"\x2a\x03\x0a\x01k", b"\x0a\x02\xff\xff"]),
    st.integers(0, 2),
)
REQUESTS = st.lists(ENTRIES | st.sampled_from(UNKNOWN + LEVELS), max_size=6).map(b"".join)


@dataclass
class Disk:
    """Keeps what was made durable, as blocks would be shipped."""

    blocks: list[PushedBlock] = field(default_factory=list)
    applied: AppliedWatch = field(default_factory=AppliedWatch)
    agent_id = ""
    has_server = True

    def append(
        self,
        events: bytes,
        *,
        event_count: int,
        receive_time_us: int,
        oldest_event_time_us: int,
        caller: str = "",
    ) -> Ticket:
        first_seq = 1 + sum(block.event_count for block in self.blocks)
        self.blocks.append(PushedBlock(first_seq, event_count, receive_time_us, events))
        ticket = Ticket()
        ticket.resolve()
        return ticket

    def submit(self, operation: Operation) -> None:
        raise NotImplementedError

    def status(self) -> agent_pb2.GetAgentStatusResponse:
        return agent_pb2.GetAgentStatusResponse()


@given(REQUESTS)
@example(packed([event("a")]) + b"\x10\x00")
@example(packed([event("a")]) + b"\x18\x01")
@example(b"\x8a\x00" + packed([event("a")])[1:])
def test_every_accepted_event_can_be_read_by_the_server(raw: bytes) -> None:
    disk = Disk()
    service = AgentService(
        disk, source=disk, clock=ManualClock(NOW), desk=NO_LIMITS, unsettled=lambda *_: []
    )
    try:
        answer = agent_pb2.RecordUsageResponse.FromString(service.record_usage(raw, CONTEXT))
    except ValidationError:
        assert disk.blocks == []
        return
    push = UsagePush(server_incarnation="i", session_no=1, first_seq=1, blocks=tuple(disk.blocks))
    assert len(decode_push(push, agent_ref=1)) == answer.accepted_count
