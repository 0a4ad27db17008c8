"""RecordUsage over real gRPC: each event judged alone, bounds, what lands on disk."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from meter_agent.store.reader import OutboxReader
from metering.api.v1 import agent_pb2, usage_pb2
from metering.rpc import error_from_rpc
from tests.meter_agent.support import RunningAgent, event, events, ids_of, numbered, packed


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path) as running:
        yield running


@pytest.fixture
def reader(agent: RunningAgent, tmp_path: Path) -> Iterator[OutboxReader]:
    opened = OutboxReader(tmp_path / "data" / "agent.db")
    yield opened
    opened.close()


def stored(reader: OutboxReader) -> bytes:
    page = reader.page(first_seq=1, event_count_max=10**6, bytes_max=10**9)
    return b"".join(block.events for block in page)


def test_a_good_request_is_stored_byte_for_byte(agent: RunningAgent, reader: OutboxReader) -> None:
    request = agent_pb2.RecordUsageRequest(events=[event("a", seconds=None), event("b")])
    raw = request.SerializeToString()
    response = agent.record_bytes(raw)
    assert (response.accepted_count, list(response.rejected)) == (2, [])
    assert stored(reader) == raw


def test_one_bad_event_spoils_no_other(agent: RunningAgent, reader: OutboxReader) -> None:
    bad = event("b", quantities={"input_tokens": "-1"})
    response = agent.record([event("a"), bad, event("c"), event("", customer_id="x")])
    assert response.accepted_count == 2
    assert [(item.index, item.event_id, item.reason) for item in response.rejected] == [
        (1, "b", "QUANTITY_NEGATIVE"),
        (3, "", "EVENT_ID_MALFORMED"),
    ]
    assert "input_tokens" in response.rejected[0].message
    assert ids_of(stored(reader)) == ["a", "c"]


def test_a_request_of_bad_events_alone_is_answered_and_stores_nothing(
    agent: RunningAgent, reader: OutboxReader
) -> None:
    response = agent.record([event(""), event("")])
    assert (response.accepted_count, len(response.rejected)) == (0, 2)
    assert stored(reader) == b""
    status = agent.status()
    assert (status.accepted_count, status.rejected_count, status.next_seq) == (0, 2, 1)


def test_an_event_that_is_not_utf8_is_refused_alone(
    agent: RunningAgent, reader: OutboxReader
) -> None:
    raw = b"".join(
        agent_pb2.RecordUsageRequest(events=[event(name)]).SerializeToString()
        for name in ("one", "bad", "two", "x y")
    ).replace(b"bad", b"b\xffd")
    response = agent.record_bytes(raw)
    assert response.accepted_count == 2
    assert [(item.index, item.reason) for item in response.rejected] == [
        (1, "EVENT_MALFORMED"),
        (3, "EVENT_ID_MALFORMED"),
    ]
    assert ids_of(stored(reader)) == ["one", "two"]


def test_an_answer_is_never_larger_than_a_client_takes(agent: RunningAgent) -> None:
    # 10,000 ids of 300 bytes are 3 MB, to be answered with a message each.
    answer = agent.record([event("é" * 150) for _ in range(10_000)])
    assert len(answer.rejected) == 10_000
    # 128 bytes are 64 characters of two bytes.
    assert {item.event_id for item in answer.rejected} == {"é" * 64}
    assert {item.reason for item in answer.rejected} == {"EVENT_ID_MALFORMED"}
    assert "printable ASCII" in answer.rejected[999].message
    assert answer.rejected[1_000].message.startswith("see the reason")
    assert answer.ByteSize() < 3 << 20


def test_the_local_level_is_the_default_and_is_not_stored(
    agent: RunningAgent, reader: OutboxReader
) -> None:
    items = events("a", "b")
    agent.record(items, ack_level=usage_pb2.ACK_LEVEL_LOCAL)
    assert stored(reader) == agent_pb2.RecordUsageRequest(events=items).SerializeToString()


def test_fields_of_a_newer_contract_are_kept(agent: RunningAgent, reader: OutboxReader) -> None:
    # Field 99 of the event, as a varint: b"\x98\x06\x07".
    item = event("a").SerializeToString() + b"\x98\x06\x07"
    agent.record_bytes(b"\x0a" + bytes([len(item)]) + item)
    assert b"\x98\x06\x07" in stored(reader)


ODD_BYTES = [
    b"\x10\x00",  # The level, set to its default.
    b"\x10\x01",  # ACK_LEVEL_LOCAL.
    b"\x18\x01",  # A field of a newer contract.
    b"\x8a\x00" + b"\x00",  # The tag of field 1 in two bytes, around an empty event.
]


@pytest.mark.parametrize("odd", ODD_BYTES)
def test_bytes_beside_the_events_are_not_stored(
    agent: RunningAgent, reader: OutboxReader, odd: bytes
) -> None:
    items = agent_pb2.RecordUsageRequest(events=events("a", "b")).SerializeToString()
    assert agent.record_bytes(items + odd).accepted_count == 2
    assert stored(reader) == items


def test_an_event_with_more_than_16_kib_is_refused_alone(
    agent: RunningAgent, reader: OutboxReader
) -> None:
    # Field 100 of the event, as a text of 16 KiB.
    large = event("b").SerializeToString() + b"\xa2\x06\x80\x80\x01" + b"z" * 16_384
    size = bytes([len(large) & 0x7F | 0x80, len(large) >> 7 & 0x7F | 0x80, len(large) >> 14])
    start, end = (
        agent_pb2.RecordUsageRequest(events=events(name)).SerializeToString() for name in "ac"
    )
    response = agent.record_bytes(start + b"\x0a" + size + large + end)
    assert response.accepted_count == 2
    assert [(item.index, item.reason) for item in response.rejected] == [(1, "EVENT_TOO_LARGE")]
    assert "16384" in response.rejected[0].message
    assert ids_of(stored(reader)) == ["a", "c"]


@pytest.mark.parametrize(
    ("level", "code"), [(b"\x10\x02", "FAILED_PRECONDITION"), (b"\x10\x07", "INVALID_ARGUMENT")]
)
def test_the_level_is_also_refused_where_one_event_is_broken(
    agent: RunningAgent, reader: OutboxReader, level: bytes, code: str
) -> None:
    broken = packed(events("one", "bad")).replace(b"bad", b"b\xffd")
    with pytest.raises(grpc.RpcError) as caught:
        agent.record_bytes(broken + level)
    assert caught.value.code().name == code
    assert stored(reader) == b""


def refusal(call: grpc.RpcError) -> tuple[str, str]:
    return call.code().name, error_from_rpc(call).reason


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (agent_pb2.RecordUsageRequest(), "EVENTS_MISSING"),
        (agent_pb2.RecordUsageRequest(events=numbered(0, 10_001)), "TOO_MANY_EVENTS"),
        (
            agent_pb2.RecordUsageRequest(events=[event(dimensions={"k": "x" * (4 << 20)})]),
            "REQUEST_TOO_LARGE",
        ),
        (agent_pb2.RecordUsageRequest(events=events("a"), ack_level=7), "ACK_LEVEL_UNKNOWN"),
    ],
)
def test_a_request_out_of_bounds_is_refused_whole_and_names_the_bound(
    agent: RunningAgent, reader: OutboxReader, request_: agent_pb2.RecordUsageRequest, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        agent.stub.RecordUsage(request_)
    assert refusal(caught.value) == ("INVALID_ARGUMENT", reason)
    assert stored(reader) == b""


def test_bytes_that_are_no_request_are_refused(agent: RunningAgent) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        agent.record_bytes(b"\x0a\xff\xff\xff")
    assert refusal(caught.value) == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")


def test_the_largest_request_is_stored_in_blocks_that_can_be_pushed(
    agent: RunningAgent, reader: OutboxReader
) -> None:
    response = agent.record(numbered(0, 10_000))
    assert response.accepted_count == 10_000
    page = reader.page(first_seq=1, event_count_max=10**6, bytes_max=10**9)
    assert [block.event_count for block in page] == [5_000, 5_000]
    assert ids_of(stored(reader)) == [f"event-{number}" for number in range(10_000)]


def test_a_full_buffer_is_told_with_a_hint_when_to_come_back(tmp_path: Path) -> None:
    with RunningAgent(tmp_path, disk_budget_bytes=1 << 20) as agent:
        large = [event(f"e{n}", dimensions={"k": "x" * 200}) for n in range(4_000)]
        agent.record(large)
        with pytest.raises(grpc.RpcError) as caught:
            agent.record(large)
        error = error_from_rpc(caught.value)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (error.reason, error.retry_after_seconds) == ("BUFFER_FULL", 5.0)
        # What still fits is taken.
        assert agent.record(events("small")).accepted_count == 1


def test_the_status_tells_what_is_buffered(agent: RunningAgent) -> None:
    agent.record(numbered(0, 3))
    agent.record([event("")])
    status = agent.status()
    assert (status.buffered_event_count, status.next_seq, status.applied_seq) == (3, 4, 0)
    assert (status.accepted_count, status.rejected_count) == (3, 1)
    assert status.buffered_bytes > 0
    assert status.HasField("oldest_buffered_time")
    assert status.disk_used_bytes > 0
    assert status.disk_budget_bytes == 1 << 30
    assert len(status.disk_id) == 32
    assert (status.server_address, status.is_server_reachable, status.last_error) == ("", False, "")
