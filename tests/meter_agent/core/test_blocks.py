"""Cutting blocks and reading broken requests."""

import pytest

from meter_agent.core.blocks import (
    Block,
    ack_level_of,
    drop_before,
    is_plain_run,
    split_events,
    take,
)
from metering.api.v1 import agent_pb2
from tests.meter_agent.support import NOW_US, event, ids_of, numbered, packed

BLOCK = Block(first_seq=11, event_count=4, receive_time_us=NOW_US, events=packed(numbered(0, 4)))
EVENT_BYTES = len(packed([event("event-0")]))


def test_joined_blocks_are_the_events_of_both() -> None:
    joined = packed(numbered(0, 2)) + packed(numbered(2, 3))
    assert ids_of(joined) == ["event-0", "event-1", "event-2"]


def test_what_lies_before_a_position_is_dropped() -> None:
    kept = drop_before(BLOCK, seq=13)
    assert (kept.first_seq, kept.event_count, kept.last_seq) == (13, 2, 14)
    assert ids_of(kept.events) == ["event-2", "event-3"]
    assert kept.receive_time_us == NOW_US
    assert drop_before(BLOCK, seq=11) is BLOCK


def test_a_block_within_the_bounds_is_taken_whole_and_unparsed() -> None:
    assert take(BLOCK, event_count_max=4, bytes_max=len(BLOCK.events)) is BLOCK


@pytest.mark.parametrize(
    ("event_count_max", "bytes_max", "taken"),
    [(3, 10_000, 3), (4, EVENT_BYTES * 2, 2), (4, EVENT_BYTES * 2 - 1, 1), (4, 1, 1), (1, 1, 1)],
)
def test_a_larger_block_is_cut_at_the_first_bound_and_never_to_nothing(
    event_count_max: int, bytes_max: int, taken: int
) -> None:
    part = take(BLOCK, event_count_max=event_count_max, bytes_max=bytes_max)
    assert (part.first_seq, part.event_count) == (11, taken)
    assert ids_of(part.events) == [f"event-{number}" for number in range(taken)]


def test_a_request_is_split_into_its_events_whatever_else_it_holds() -> None:
    request = agent_pb2.RecordUsageRequest(events=numbered(0, 2), ack_level=1)
    # Fields that nobody knows: 9 as a varint, 10 as eight bytes, 11 as four, 12 as a text.
    unknown = b"\x48\x81\x01" + b"\x51" + b"8" * 8 + b"\x5d" + b"4444" + b"\x62\x02hi"
    assert ack_level_of(request.SerializeToString() + unknown) == 1
    parts = split_events(request.SerializeToString() + unknown)
    assert parts == [item.SerializeToString() for item in request.events]


@pytest.mark.parametrize(
    "raw", [b"\x0a", b"\x0a\x05ab", b"\x0b", b"\x51123", b"\x80" * 12, b"\x08", b"\x08\x80"]
)
def test_bytes_that_are_no_message_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"truncated|unknown|too long"):
        split_events(raw)


PLAIN = packed(numbered(0, 2))
LONG = packed([event("long", dimensions={"k": "x" * 250, "l": "y" * 250})])


@pytest.mark.parametrize("raw", [b"", PLAIN, LONG, PLAIN + LONG, b"\x0a\x80\x00"])
def test_events_and_nothing_else_are_a_block_as_they_stand(raw: bytes) -> None:
    assert is_plain_run(raw)


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN + b"\x10\x00",  # The level, set to its default.
        b"\x18\x01" + PLAIN,  # A field of a newer contract.
        PLAIN + b"\x8a\x00\x00",  # The tag of field 1 in two bytes.
        PLAIN + b"\x0a\x80\x80\x00",  # A length in three bytes.
        b"\x0a\x80\x80\x01" + b"x" * 16_384,  # 16 KiB.
        PLAIN + b"\x0a",
        PLAIN[:-1],
    ],
)
def test_whatever_else_stands_beside_events_is_no_block(raw: bytes) -> None:
    assert not is_plain_run(raw)


def test_the_level_is_read_where_the_rest_cannot_be() -> None:
    assert ack_level_of(PLAIN) == 0
    # Field 2 as a text is another contract's; the last one of a kind counts.
    assert ack_level_of(b"\x10\x01\x12\x01z" + PLAIN + b"\x10\x02") == 2
