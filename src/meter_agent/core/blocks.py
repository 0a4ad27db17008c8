"""Blocks of events as bytes: joining, cutting, and reading a request event by event.

A block's content is a serialized `UsageEvents`. Two such contents joined byte by byte are the
content of both, so blocks are carried and joined without being parsed; only a cut parses.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from metering.api.v1.ingest_pb2 import UsageEvents

_HEAD: Final = struct.Struct("<4q")
_EVENTS_FIELD: Final = 1
_EVENTS_TAG: Final = 0x0A  # Field 1, with a length.
_ACK_LEVEL_FIELD: Final = 2
_VARINT_MORE: Final = 0x80
_VARINT_BITS_MAX: Final = 63


@dataclass(frozen=True, slots=True)
class Block:
    """A run of events with consecutive positions, as it lies on disk and is shipped."""

    first_seq: int
    """Position of the first event, >= 1."""
    event_count: int
    """Number of events, >= 1."""
    receive_time_us: int
    """When the agent received them, microseconds since 1970 UTC."""
    events: bytes
    """A serialized `UsageEvents`."""

    @property
    def last_seq(self) -> int:
        """Position of the last event."""
        return self.first_seq + self.event_count - 1


def block_checksum(
    first_seq: int,
    event_count: int,
    receive_time_us: int,
    oldest_event_time_us: int,
    *,
    events: bytes,
) -> int:
    """Returns the CRC-32 over all that a block says: a changed time would be a changed invoice.

    Args:
        first_seq: Position of the first event, on disk.
        event_count: Number of events.
        receive_time_us: When they were received, microseconds since 1970 UTC.
        oldest_event_time_us: Oldest event time among them, microseconds since 1970 UTC.
        events: A serialized `UsageEvents`.
    """
    head = _HEAD.pack(first_seq, event_count, receive_time_us, oldest_event_time_us)
    return zlib.crc32(events, zlib.crc32(head))


def drop_before(block: Block, *, seq: int) -> Block:
    """Returns the part of the block from position `seq` on, which must lie inside it."""
    skipped = seq - block.first_seq
    if skipped <= 0:
        return block
    kept = UsageEvents.FromString(block.events).events[skipped:]
    return Block(
        first_seq=seq,
        event_count=len(kept),
        receive_time_us=block.receive_time_us,
        events=UsageEvents(events=kept).SerializeToString(),
    )


def take(block: Block, *, event_count_max: int, bytes_max: int) -> Block:
    """Returns the longest beginning of the block within both bounds, one event at least."""
    if block.event_count <= event_count_max and len(block.events) <= bytes_max:
        return block
    parts: list[bytes] = []
    size = 0
    for event in UsageEvents.FromString(block.events).events[: max(event_count_max, 1)]:
        part = UsageEvents(events=[event]).SerializeToString()
        if parts and size + len(part) > bytes_max:
            break
        parts.append(part)
        size += len(part)
    return replace(block, event_count=len(parts), events=b"".join(parts))


def is_plain_run(raw: bytes) -> bool:
    """Tells whether the bytes are events and nothing else, each shorter than 16 KiB.

    Only then are they a block as they stand. A field of a newer contract, a default that was
    written out or an unusual spelling is no fault of the caller, but must not lie on the disk: what
    lies there is shipped as it is.

    Args:
        raw: A serialized request that was parsed without an error.
    """
    position, end = 0, len(raw)
    try:
        while position < end:
            if raw[position] != _EVENTS_TAG:
                return False
            size = raw[position + 1]
            position += 2
            if size >= _VARINT_MORE:
                high = raw[position]
                if high >= _VARINT_MORE:
                    return False
                size += (high << 7) - _VARINT_MORE
                position += 1
            position += size
    except IndexError:
        return False
    return position == end


def ack_level_of(raw: bytes) -> int:
    """Returns the level of a serialized request that cannot be parsed as a whole; 0: unset.

    Raises:
        ValueError: The bytes are not a protobuf message at all.
    """
    level = 0
    for field, value in _fields(raw):
        if field == _ACK_LEVEL_FIELD and isinstance(value, int):
            level = value
    return level


def split_events(raw: bytes) -> list[bytes]:
    """Returns each event of a serialized request by itself, without parsing the events.

    It serves a request that cannot be parsed as a whole, so that one broken event does not spoil
    the others.

    Raises:
        ValueError: The bytes are not a protobuf message at all.
    """
    return [
        value
        for field, value in _fields(raw)
        if field == _EVENTS_FIELD and isinstance(value, bytes)
    ]


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | int | None]]:
    """Yields the number of each top-level field, with its bytes or its varint where it has any."""
    position = 0
    while position < len(raw):
        tag, position = _read_varint(raw, position)
        value: bytes | int | None = None
        start = position
        match tag & 7:
            case 0:
                value, position = _read_varint(raw, position)
            case 1:
                position += 8
            case 2:
                size, start = _read_varint(raw, position)
                position = start + size
                value = raw[start:position]
            case 5:
                position += 4
            case _:
                raise ValueError("unknown wire type")
        if position > len(raw):
            raise ValueError("truncated field")
        yield tag >> 3, value


def _read_varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= _VARINT_BITS_MAX:
        if position >= len(raw):
            raise ValueError("truncated varint")
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, position
        shift += 7
    raise ValueError("varint too long")
