"""Events are read from the bytes in which they were shipped, and kept in the same bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.services.usage_payload import (
    PUSH_BYTES_MAX,
    PUSH_EVENTS_MAX,
    PushedBlock,
    UsagePush,
    content_of,
    decode_push,
    decode_row,
    split_events,
)
from metering.api.v1 import ingest_pb2, usage_pb2
from metering.errors import ValidationError
from tests.billing_server.ingest_world import NOON, block, event

NOON_US = int(NOON.timestamp()) * 1_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
EVENTS = st.builds(
    usage_pb2.UsageEvent,
    event_id=TEXT,
    customer_id=TEXT,
    quantities=st.dictionaries(TEXT, TEXT, max_size=4),
    dimensions=st.dictionaries(TEXT, TEXT, max_size=4),
)


def push(*blocks: PushedBlock, first_seq: int = 1) -> UsagePush:
    return UsagePush(
        server_incarnation="i", session_no=1, first_seq=first_seq, blocks=tuple(blocks)
    )


@given(st.lists(EVENTS, max_size=5))
def test_a_message_splits_into_the_events_it_was_joined_from(
    events: list[usage_pb2.UsageEvent],
) -> None:
    parts = [each.SerializeToString() for each in events]
    joined = b"".join(
        ingest_pb2.UsageEvents(events=[usage_pb2.UsageEvent.FromString(part)]).SerializeToString()
        for part in parts
    )
    assert [usage_pb2.UsageEvent.FromString(each) for each in split_events(joined)] == events


@pytest.mark.parametrize("data", [b"\x12\x00", b"\x0a\x05abc", b"\x0a", b"\x0a\xff"])
def test_other_bytes_do_not_split(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        split_events(data)


def test_a_push_is_read_in_the_order_of_its_positions() -> None:
    large = {"model": "large", "a": "1"}
    decoded = decode_push(
        push(
            block([event("e1"), event("e2", at=None, dimensions=large)], first_seq=7),
            block([event("e3")], first_seq=9),
            first_seq=7,
        ),
        agent_ref=3,
    )
    assert [(each.row.event_id, each.row.seq, each.row.agent_ref) for each in decoded] == [
        ("e1", 7, 3),
        ("e2", 8, 3),
        ("e3", 9, 3),
    ]
    assert decoded[1].row.event_time_us == NOON_US  # The block's receive time serves.
    assert decoded[1].minute == NOON_US // 60_000_000
    assert decoded[1].dimensions_json == '{"a":"1","model":"large"}'
    assert decoded[0].quantities == {"input_tokens": "100"}
    assert usage_pb2.UsageEvent.FromString(decoded[2].row.payload) == event("e3")


@pytest.mark.parametrize(
    "odd",
    [
        b"\x10\x00",  # ack_level, set to its default.
        b"\x18\x01",  # A field of a newer contract.
        b"\x8a\x00",  # The tag of field 1 in two bytes.
        b"\x1b\x1c",  # A group.
    ],
)
def test_bytes_beside_the_events_of_a_block_spoil_no_event(odd: bytes) -> None:
    events = [event("e1"), event("e2")]
    plain = block(events, first_seq=1)
    if odd.startswith(b"\x8a"):
        part = events[1].SerializeToString()
        start = ingest_pb2.UsageEvents(events=events[:1]).SerializeToString()
        odd_events = start + b"\x8a\x00" + bytes([len(part)]) + part
    else:
        odd_events = plain.events + odd
    decoded = decode_push(push(replace(plain, events=odd_events)), agent_ref=1)
    assert [each.row.event_id for each in decoded] == ["e1", "e2"]
    assert [usage_pb2.UsageEvent.FromString(each.row.payload) for each in decoded] == events


def test_a_stored_event_is_read_again_from_its_bytes() -> None:
    (decoded,) = decode_push(push(block([event("e1")], first_seq=1)), agent_ref=1)
    assert decode_row(decoded.row) == decoded


def test_an_event_that_cannot_be_kept_waits_alone_with_its_bytes() -> None:
    bad, good = decode_push(push(block([event("e\0"), event("e1")], first_seq=1)), agent_ref=1)
    assert (bad.row.quarantine_reason, bad.row.seq) == ("EVENT_ID_MALFORMED", 1)
    assert usage_pb2.UsageEvent.FromString(bad.row.payload) == event("e\0")
    assert (good.row.event_id, good.row.quarantine_reason) == ("e1", None)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (PushedBlock(2, 1, 0, block([event("e")], first_seq=2).events), "BLOCK_POSITION_WRONG"),
        (PushedBlock(1, 2, 0, block([event("e")], first_seq=1).events), "BLOCK_COUNT_WRONG"),
        (PushedBlock(1, 1, 0, b"\xff"), "BLOCK_MALFORMED"),
        (PushedBlock(1, PUSH_EVENTS_MAX + 1, 0, b""), "PUSH_TOO_LARGE"),
        (PushedBlock(1, 1, 0, b"x" * (PUSH_BYTES_MAX + 1)), "PUSH_TOO_LARGE"),
    ],
)
def test_a_bad_block_is_refused_by_number(bad: PushedBlock, reason: str) -> None:
    with pytest.raises(ValidationError) as raised:
        decode_push(push(bad), agent_ref=1)
    assert raised.value.reason == reason
    assert "blocks" in str(raised.value)


def test_contents_are_equal_whatever_their_order_and_trailing_zeros_r13() -> None:
    first = event("e", quantities={"a": "1.50", "b": "007"}, dimensions={"x": "1", "y": "2"})
    second = event("e", quantities={"b": "7", "a": "1.5"}, dimensions={"y": "2", "x": "1"})
    assert content_of(first.SerializeToString()) == content_of(second.SerializeToString())


def test_debits_and_the_reservation_are_no_part_of_the_content() -> None:
    plain, settled = event("e"), event("e")
    settled.debits.add(lease_id=bytes(16), amount=5)
    settled.settlement.reservation_id = "r-1"
    assert content_of(plain.SerializeToString()) == content_of(settled.SerializeToString())


def test_a_time_that_was_left_unset_is_content_of_its_own_r13() -> None:
    unset = content_of(event("e", at=None).SerializeToString())
    assert unset.event_time_ns is None
    assert unset != content_of(event("e", at=NOON).SerializeToString())
