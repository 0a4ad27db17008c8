"""Usage events from the bytes in which agents ship them and in which they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from google.protobuf.message import DecodeError

from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.usage import EventRow
from billing_server.domain.usage.event import EventContent, event_content
from billing_server.domain.usage.instants import MICROSECONDS_PER_MINUTE
from billing_server.services.malformed_event import storable_row
from metering.api.v1 import ingest_pb2, usage_pb2
from metering.errors import ValidationError

PUSH_EVENTS_MAX = 5_000
"""Events of one push: a bound on the memory and the time of one call."""
PUSH_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of blocks of one push."""
TIMESTAMP_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999, where protobuf's and Python's instants end."""
NANOSECONDS_PER_SECOND = 1_000_000_000
_EVENTS_TAG = 0x0A  # Field 1 of UsageEvents, length-delimited.
_VARINT_MORE = 0x80


@dataclass(frozen=True, slots=True)
class PushedBlock:
    """A run of events as an agent wrote them."""

    first_seq: int
    """Position of the first event. >= 1."""
    event_count: int
    """Events that the block says it holds. >= 1."""
    receive_time_us: int
    """When the agent received them, in microseconds since 1970 UTC."""
    events: bytes
    """A serialized UsageEvents message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePush:
    """One call of an agent."""

    server_incarnation: str
    """As the agent last heard it."""
    session_no: int
    """As the agent last heard it."""
    first_seq: int
    """Position of the first event. >= 1."""
    blocks: tuple[PushedBlock, ...]
    """With positions that follow each other."""
    oldest_unshipped_event_time: datetime | None = None
    """Of what the agent still holds once this call is applied; None where it holds nothing."""
    disk_id: bytes = b""
    """Identity of the agent's disk; empty from agents that do not tell."""
    next_seq: int = 0
    """Position of the agent's next event; 0 from agents that do not tell."""


class DecodedEvent(NamedTuple):
    """One event, read once."""

    row: EventRow
    """As it is stored; with a reason where it waits, whatever customers and meters there are."""
    minute: int
    """Of its event time, in minutes since 1970 UTC."""
    quantities: Mapping[str, str]
    """Name to decimal string."""
    dimensions: Mapping[str, str]
    """Name to value."""
    dimensions_json: str
    """The same in canonical JSON."""
    settlement: usage_pb2.Settlement | None = None
    """Which reservation it ends; None: it ends none."""


def decode_push(push: UsagePush, *, agent_ref: int) -> list[DecodedEvent]:
    """Returns the events of a push in the order of their positions.

    An event that cannot be stored or placed as it came has a row that waits: `storable_row`.

    Raises:
        ValidationError: PUSH_TOO_LARGE, BLOCK_POSITION_WRONG, BLOCK_MALFORMED or
            BLOCK_COUNT_WRONG, naming the block.
    """
    _check_bounds(push.blocks)
    events: list[DecodedEvent] = []
    wanted_seq = push.first_seq
    known_dimensions: dict[tuple[tuple[str, str], ...], str] = {}
    for number, block in enumerate(push.blocks):
        if block.first_seq != wanted_seq:
            raise _block_error(
                number,
                reason="BLOCK_POSITION_WRONG",
                message=f"first_seq is {block.first_seq}, wanted {wanted_seq}: positions follow "
                "each other without a hole",
            )
        events += _decode_block(
            block, number=number, agent_ref=agent_ref, known_dimensions=known_dimensions
        )
        wanted_seq += block.event_count
    return events


def decode_row(row: EventRow) -> DecodedEvent:
    """Returns a stored event, read again from its payload."""
    message = usage_pb2.UsageEvent.FromString(row.payload)
    return _decoded(row, message, known_dimensions={})


def content_of(payload: bytes) -> EventContent:
    """Returns the canonical content of a serialized event, by which a repeated id is judged."""
    message = usage_pb2.UsageEvent.FromString(payload)
    event_time_ns = None
    if message.HasField("event_time"):
        seconds, nanos = message.event_time.seconds, message.event_time.nanos
        event_time_ns = seconds * NANOSECONDS_PER_SECOND + nanos
    return event_content(
        event_time_ns=event_time_ns,
        quantities=dict(message.quantities),
        dimensions=dict(message.dimensions),
    )


def split_events(data: bytes) -> list[bytes]:
    """Returns the serialized events of a serialized UsageEvents message, byte for byte.

    Raises:
        ValueError: the bytes are not a run of field 1.
    """
    events: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        if data[position] != _EVENTS_TAG:
            raise ValueError("another field than `events`")
        size = data[position + 1]
        position += 2
        if size >= _VARINT_MORE:
            size, position = _long_size(data, size=size & 0x7F, position=position)
        events.append(data[position : position + size])
        position += size
    if position != end:
        raise ValueError("the last event is cut")
    return events


def _long_size(data: bytes, *, size: int, position: int) -> tuple[int, int]:
    """Returns a length of several bytes and the position after it."""
    shift = 7
    while True:
        byte = data[position]
        position += 1
        size |= (byte & 0x7F) << shift
        if byte < _VARINT_MORE:
            return size, position
        shift += 7


def _decode_block(
    block: PushedBlock,
    *,
    number: int,
    agent_ref: int,
    known_dimensions: dict[tuple[tuple[str, str], ...], str],
) -> list[DecodedEvent]:
    try:
        messages = ingest_pb2.UsageEvents.FromString(block.events).events
    except DecodeError as error:
        raise _block_error(
            number,
            reason="BLOCK_MALFORMED",
            message=f"events is no serialized UsageEvents message: {error}",
        ) from error
    try:
        payloads = split_events(block.events)
    except (ValueError, IndexError):
        # A field that only newer agents know, or another spelling of a tag, is no fault of the
        # events beside it: to refuse it would hold up all that its agent has to ship.
        payloads = [message.SerializeToString() for message in messages]
    if len(payloads) != block.event_count:
        raise _block_error(
            number,
            reason="BLOCK_COUNT_WRONG",
            message=f"event_count is {block.event_count}, the block holds {len(payloads)} events",
        )
    receive_time_us, seq = block.receive_time_us, block.first_seq
    decoded = []
    for message, payload in zip(messages, payloads, strict=True):
        event_time_us = receive_time_us
        if message.HasField("event_time"):
            event_time = message.event_time
            event_time_us = event_time.seconds * 1_000_000 + event_time.nanos // 1000
        row = EventRow(
            message.event_id,
            message.customer_id,
            event_time_us,
            receive_time_us,
            agent_ref,
            seq,
            payload,
            None,
            None,
        )
        row = storable_row(row)
        decoded.append(_decoded(row, message, known_dimensions=known_dimensions))
        seq += 1
    return decoded


def _decoded(
    row: EventRow,
    message: usage_pb2.UsageEvent,
    *,
    known_dimensions: dict[tuple[tuple[str, str], ...], str],
) -> DecodedEvent:
    dimensions = dict(message.dimensions)
    key = tuple(sorted(dimensions.items()))
    dimensions_json = known_dimensions.get(key)
    if dimensions_json is None:
        dimensions_json = known_dimensions[key] = canonical_json(dimensions)
    return DecodedEvent(
        row,
        row.event_time_us // MICROSECONDS_PER_MINUTE,
        dict(message.quantities),
        dimensions,
        dimensions_json,
        message.settlement if message.HasField("settlement") else None,
    )


def _check_bounds(blocks: Sequence[PushedBlock]) -> None:
    event_count = sum(block.event_count for block in blocks)
    byte_count = sum(len(block.events) for block in blocks)
    if event_count > PUSH_EVENTS_MAX or byte_count > PUSH_BYTES_MAX:
        raise ValidationError(
            reason="PUSH_TOO_LARGE",
            message=f"blocks: {event_count} events in {byte_count} bytes; one push holds at most "
            f"{PUSH_EVENTS_MAX} events in {PUSH_BYTES_MAX} bytes",
        )


def _block_error(number: int, *, reason: str, message: str) -> ValidationError:
    return ValidationError(reason=reason, message=f"blocks[{number}]: {message}")
