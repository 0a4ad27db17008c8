"""How the appends of one commit become rows, and how callers wait."""

import threading

import pytest

from meter_agent.core.blocks import block_checksum
from meter_agent.store.group import (
    JOINED_BYTES_MAX,
    JOINED_EVENT_COUNT_MAX,
    JOINED_SPAN_US,
    Append,
    DurableCount,
    Ticket,
    checked_row,
    rows_from_appends,
)
from metering.errors import DeadlineError, UnavailableError


def append(count: int, events: bytes, *, at: int = 100, oldest: int = 50) -> Append:
    return Append(count, at, oldest, events, Ticket())


def test_small_requests_share_a_row_with_the_receive_time_of_the_first() -> None:
    rows = rows_from_appends(
        [append(1, b"aa", at=100, oldest=90), append(2, b"bbb", at=101, oldest=80)],
        next_seq=7,
        end_bytes=1_000,
    )
    # Positions 7..9; 1,000 + 2 + 3 bytes.
    assert rows == [(7, 3, 100, 80, 1_005, b"aabbb")]


def test_positions_and_bytes_run_on_over_rows() -> None:
    large = JOINED_EVENT_COUNT_MAX
    rows = rows_from_appends(
        [append(large, b"aa"), append(3, b"b"), append(large, b"cc")], next_seq=1, end_bytes=0
    )
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (1, large, 2),
        (1 + large, 3, 3),
        (4 + large, large, 5),
    ]


def test_requests_far_apart_in_time_or_large_keep_rows_of_their_own() -> None:
    apart = [append(1, b"a"), append(1, b"b", at=100 + JOINED_SPAN_US + 1)]
    assert len(rows_from_appends(apart, next_seq=1, end_bytes=0)) == 2
    stepped_back = [append(1, b"a", at=JOINED_SPAN_US + 100), append(1, b"b", at=1)]
    assert len(rows_from_appends(stepped_back, next_seq=1, end_bytes=0)) == 2
    heavy = [append(1, b"a" * JOINED_BYTES_MAX), append(1, b"b")]
    assert len(rows_from_appends(heavy, next_seq=1, end_bytes=0)) == 2


def test_no_appends_are_no_rows() -> None:
    assert rows_from_appends([], next_seq=1, end_bytes=0) == []


def test_a_ticket_lets_its_caller_go_when_it_is_resolved() -> None:
    ticket = Ticket()
    threading.Timer(0.01, ticket.resolve).start()
    ticket.wait(10.0)


def test_a_ticket_raises_what_it_was_resolved_with() -> None:
    ticket = Ticket()
    ticket.resolve(UnavailableError(reason="DISK_FULL", message="full"))
    with pytest.raises(UnavailableError, match="full"):
        ticket.wait()


def test_a_ticket_that_is_not_resolved_in_time_says_that_the_events_may_still_come() -> None:
    with pytest.raises(DeadlineError, match="same ids"):
        Ticket().wait(0.0)


def test_a_row_is_written_with_the_checksum_that_its_block_must_have() -> None:
    row = (7, 2, 100, 95, 99, b"events")
    assert checked_row(row) == (
        *row,
        block_checksum(7, 2, 100, 95, events=b"events"),
    )


def test_events_made_durable_are_counted_in_order_behind_those_that_surfaced() -> None:
    count = DurableCount(4)
    first, second = Append(2, 0, 0, b"", Ticket()), Append(1, 0, 0, b"", Ticket())
    count.book([first, second], surfaced_count=0)
    assert (first.ticket.span, second.ticket.span) == (range(5, 7), range(7, 8))
    third = Append(1, 0, 0, b"", Ticket())
    count.book([third], surfaced_count=3)
    # 8, 9 and 10 were found on disk when a failed commit was looked at again.
    assert (third.ticket.span, count.total) == (range(11, 12), 11)
    count.book([], surfaced_count=3)
    assert count.total == 11
