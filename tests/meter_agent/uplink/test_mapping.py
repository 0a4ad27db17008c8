"""Between the protocol's messages and the agent's own state."""

from datetime import UTC

from meter_agent.core.blocks import Block
from meter_agent.core.conservation import PushCounts
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer
from meter_agent.uplink import mapping
from metering.api.v1 import ingest_pb2
from tests.meter_agent.support import NOW, NOW_US


def test_microseconds_become_a_timestamp_also_before_1970() -> None:
    assert mapping.timestamp_from_us(NOW_US + 7).ToDatetime(tzinfo=UTC) == NOW.replace(
        microsecond=7
    )
    early = mapping.timestamp_from_us(-1)
    assert (early.seconds, early.nanos) == (-1, 999_999_000)


def test_a_session_request_tells_where_the_agent_stands() -> None:
    positions = Positions(
        disk_id=b"d",
        server_incarnation="i",
        sync_no=3,
        nonce=b"n",
        earliest_kept_seq=5,
        next_seq=20,
        applied_seq=9,
    )
    request = mapping.session_request_to_proto(
        positions, agent_version="1.2.3", oldest_event_time_us=None
    )
    assert request == ingest_pb2.OpenSessionRequest(
        disk_id=b"d",
        nonce=b"n",
        sync_no=3,
        next_seq=20,
        applied_seq=9,
        earliest_kept_seq=5,
        server_incarnation="i",
        agent_version="1.2.3",
    )
    assert not request.HasField("oldest_unshipped_event_time")


def test_a_session_answer_is_taken_over() -> None:
    response = ingest_pb2.OpenSessionResponse(
        agent_id="a", session_no=4, server_incarnation="i", applied_seq=9, safe_seq=8
    )
    assert mapping.session_answer_from_proto(response) == SessionAnswer("a", 4, "i", 9, 8)


def test_a_push_carries_the_blocks_unparsed() -> None:
    request = mapping.push_request_to_proto(
        PushSent(session_no=4, server_incarnation="i", first_seq=3, last_seq=4, seq_offset=10),
        positions=Positions(disk_id=b"d" * 16, next_seq=8, seq_offset=10),
        page=[Block(first_seq=3, event_count=2, receive_time_us=NOW_US, events=b"raw bytes")],
        oldest_event_time_us=NOW_US,
    )
    assert (request.session_no, request.server_incarnation, request.first_seq) == (4, "i", 13)
    assert (request.disk_id, request.next_seq) == (b"d" * 16, 18)
    [block] = request.blocks
    # Row 3 of the disk is position 13 in the numbering that is in force.
    assert (block.first_seq, block.event_count, block.events) == (13, 2, b"raw bytes")
    assert block.receive_time.ToDatetime(tzinfo=UTC) == NOW
    assert request.oldest_unshipped_event_time.ToDatetime(tzinfo=UTC) == NOW


def test_the_counts_of_a_push_are_read() -> None:
    response = ingest_pb2.PushUsageResponse(counted=4, duplicates=3, conflicts=2, quarantined=1)
    assert mapping.push_counts_from_proto(response) == PushCounts(4, 3, 2, 1)


def test_a_push_answer_of_an_unknown_kind_is_none() -> None:
    response = ingest_pb2.PushUsageResponse(
        result=ingest_pb2.PUSH_RESULT_GAP, applied_seq=9, safe_seq=8, server_incarnation="i"
    )
    assert mapping.push_answer_from_proto(response) == PushAnswer(PushOutcome.GAP, "i", 9, 8)
    response.result = 77
    assert mapping.push_answer_from_proto(response) is None
