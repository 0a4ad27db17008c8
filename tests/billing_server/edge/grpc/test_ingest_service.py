"""Messages to and from the use cases, without a server."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from billing_server.edge.grpc.ingest_service import (
    opened_session_to_proto,
    push_outcome_to_proto,
    session_request_from_proto,
    usage_push_from_proto,
)
from billing_server.services.ingest_tally import Tally
from billing_server.services.ingest_usage import PushOutcome, PushState
from billing_server.services.open_session import OpenedSession
from billing_server.services.usage_payload import PushedBlock
from metering.api.v1 import ingest_pb2
from metering.errors import ValidationError

INSTANT = datetime(2026, 3, 10, 12, 0, 30, 5, tzinfo=UTC)
STAMP = Timestamp(seconds=1_773_144_030, nanos=5_999)


def test_a_session_request_is_read_field_by_field() -> None:
    request = session_request_from_proto(
        ingest_pb2.OpenSessionRequest(
            disk_id=b"d" * 16,
            nonce=b"n" * 16,
            sync_no=4,
            earliest_kept_seq=2,
            agent_version="0.1.0",
            oldest_unshipped_event_time=STAMP,
        )
    )
    assert (request.disk_id, request.nonce) == (b"d" * 16, b"n" * 16)
    assert (request.sync_no, request.earliest_kept_seq) == (4, 2)
    assert request.oldest_unshipped_event_time == INSTANT


def test_an_opened_session_tells_the_bounds_of_a_push() -> None:
    answer = opened_session_to_proto(OpenedSession("agt_1", 3, "inc", 9, INSTANT))
    assert answer == ingest_pb2.OpenSessionResponse(
        agent_id="agt_1",
        session_no=3,
        server_incarnation="inc",
        applied_seq=9,
        safe_seq=9,
        push_event_count_max=5_000,
        push_bytes_max=4_194_304,
        server_time=Timestamp(seconds=1_773_144_030, nanos=5_000),
    )


def test_the_events_of_a_push_stay_bytes() -> None:
    push = usage_push_from_proto(
        ingest_pb2.PushUsageRequest(
            server_incarnation="inc",
            session_no=3,
            first_seq=5,
            blocks=[
                ingest_pb2.UsageBlock(
                    first_seq=5, event_count=2, receive_time=STAMP, events=b"kept as it is"
                )
            ],
        )
    )
    assert (push.server_incarnation, push.session_no, push.first_seq) == ("inc", 3, 5)
    assert push.oldest_unshipped_event_time is None
    assert push.blocks == (PushedBlock(5, 2, 1_773_144_030_000_005, b"kept as it is"),)


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (ingest_pb2.PushUsageRequest(first_seq=0), "first_seq"),
        (
            ingest_pb2.PushUsageRequest(
                first_seq=1, blocks=[ingest_pb2.UsageBlock(first_seq=1, event_count=1)]
            ),
            r"blocks\[0\]",
        ),
        (
            ingest_pb2.PushUsageRequest(
                first_seq=1, oldest_unshipped_event_time=Timestamp(seconds=10**12)
            ),
            "oldest_unshipped_event_time",
        ),
    ],
)
def test_a_malformed_push_names_the_field(
    request_: ingest_pb2.PushUsageRequest, named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        usage_push_from_proto(request_)


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (PushState.APPLIED, ingest_pb2.PUSH_RESULT_APPLIED),
        (PushState.FENCED, ingest_pb2.PUSH_RESULT_FENCED),
        (PushState.GAP, ingest_pb2.PUSH_RESULT_GAP),
    ],
)
def test_an_outcome_is_told_with_its_numbers(state: PushState, result: int) -> None:
    answer = push_outcome_to_proto(PushOutcome(state, 7, "inc", Tally(1, 2, 3, 4)))
    assert answer.result == result
    assert (answer.applied_seq, answer.safe_seq, answer.server_incarnation) == (7, 7, "inc")
    assert (answer.counted, answer.duplicates) == (1, 2)
    assert (answer.conflicts, answer.quarantined) == (3, 4)


def test_a_busy_server_asks_to_wait() -> None:
    outcome = PushOutcome(PushState.APPLIED, 7, "inc", Tally())
    assert not push_outcome_to_proto(outcome).HasField("retry_after")
    assert push_outcome_to_proto(outcome, retry_after_ms=1250).retry_after.ToMilliseconds() == 1250


def test_what_an_agent_says_of_its_disk_is_read() -> None:
    opening = session_request_from_proto(
        ingest_pb2.OpenSessionRequest(
            disk_id=b"e" * 16,
            nonce=b"n" * 16,
            earliest_kept_seq=2,
            applied_seq=5,
            next_seq=9,
            server_incarnation="inc",
            previous_disk_id=b"d" * 16,
        )
    )
    assert (opening.applied_seq, opening.next_seq) == (5, 9)
    assert (opening.server_incarnation, opening.previous_disk_id) == ("inc", b"d" * 16)
    push = usage_push_from_proto(
        ingest_pb2.PushUsageRequest(first_seq=1, disk_id=b"e" * 16, next_seq=9)
    )
    assert (push.disk_id, push.next_seq, push.blocks) == (b"e" * 16, 9, ())
