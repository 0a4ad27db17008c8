"""Between the protocol's messages and the agent's own state."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.blocks import Block
from meter_agent.core.conservation import PushCounts
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer
from metering.api.v1 import ingest_pb2
from metering.api.v1.lease_pb2 import LeaseCounters

_US_PER_SECOND = 1_000_000
_OUTCOMES = {
    ingest_pb2.PUSH_RESULT_APPLIED: PushOutcome.APPLIED,
    ingest_pb2.PUSH_RESULT_FENCED: PushOutcome.FENCED,
    ingest_pb2.PUSH_RESULT_GAP: PushOutcome.GAP,
}


def timestamp_from_us(time_us: int) -> Timestamp:
    """Returns the instant as a message.

    Args:
        time_us: Microseconds since 1970 UTC.
    """
    seconds, rest_us = divmod(time_us, _US_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=rest_us * 1000)


def session_request_to_proto(
    positions: Positions,
    *,
    agent_version: str,
    oldest_event_time_us: int | None,
    leases: Sequence[LeaseCounters] | None = None,
) -> ingest_pb2.OpenSessionRequest:
    """Returns the request that opens a session; `positions` holds the attempt's nonce.

    Args:
        positions: As stored for the attempt.
        agent_version: Version of the program.
        oldest_event_time_us: Of what is not applied, microseconds since 1970 UTC; None: nothing.
        leases: Counters of every lease on record; None: the agent takes no part in leases.
    """
    return ingest_pb2.OpenSessionRequest(
        disk_id=positions.disk_id,
        nonce=positions.nonce,
        sync_no=positions.sync_no,
        next_seq=positions.next_seq + positions.seq_offset,
        applied_seq=positions.applied_seq + positions.seq_offset,
        earliest_kept_seq=positions.earliest_kept_seq + positions.seq_offset,
        server_incarnation=positions.server_incarnation,
        agent_version=agent_version,
        oldest_unshipped_event_time=_optional_timestamp(oldest_event_time_us),
        previous_disk_id=positions.previous_disk_id,
        leases=leases,
        has_leases=leases is not None,
    )


def session_answer_from_proto(response: ingest_pb2.OpenSessionResponse) -> SessionAnswer:
    """Returns what of the answer concerns the positions."""
    return SessionAnswer(
        agent_id=response.agent_id,
        session_no=response.session_no,
        server_incarnation=response.server_incarnation,
        applied_seq=response.applied_seq,
        safe_seq=response.safe_seq,
    )


def push_request_to_proto(
    sent: PushSent,
    *,
    positions: Positions,
    page: Sequence[Block],
    oldest_event_time_us: int | None,
) -> ingest_pb2.PushUsageRequest:
    """Returns the request that pushes a page of blocks, or none: a sign of life."""
    return ingest_pb2.PushUsageRequest(
        server_incarnation=sent.server_incarnation,
        session_no=sent.session_no,
        first_seq=sent.first_seq + sent.seq_offset,
        disk_id=positions.disk_id,
        next_seq=positions.next_seq + positions.seq_offset,
        blocks=[
            ingest_pb2.UsageBlock(
                first_seq=block.first_seq + sent.seq_offset,
                event_count=block.event_count,
                receive_time=timestamp_from_us(block.receive_time_us),
                events=block.events,
            )
            for block in page
        ],
        oldest_unshipped_event_time=_optional_timestamp(oldest_event_time_us),
    )


def push_answer_from_proto(response: ingest_pb2.PushUsageResponse) -> PushAnswer | None:
    """Returns what of the answer concerns the positions; None where it is of no known kind."""
    outcome = _OUTCOMES.get(response.result)
    if outcome is None:
        return None
    return PushAnswer(
        outcome=outcome,
        server_incarnation=response.server_incarnation,
        applied_seq=response.applied_seq,
        safe_seq=response.safe_seq,
    )


def push_counts_from_proto(response: ingest_pb2.PushUsageResponse) -> PushCounts:
    """Returns what became of the events of a push."""
    return PushCounts(
        counted=response.counted,
        duplicates=response.duplicates,
        conflicts=response.conflicts,
        quarantined=response.quarantined,
    )


def _optional_timestamp(time_us: int | None) -> Timestamp | None:
    return None if time_us is None else timestamp_from_us(time_us)
