"""Rows of leases, reservations and terms are read as they were written."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from meter_agent.core.quota.decide import Take
from meter_agent.core.quota.lease import US_PER_MINUTE, Lease
from meter_agent.core.quota.reservation import (
    Content,
    Ending,
    EndKind,
    Reservation,
    ReservationState,
    ended,
    expired,
    returned,
)
from meter_agent.store import quota_rows as rows
from meter_agent.store.database import open_writer

LEASE = Lease(
    lease_id=b"\x00\xff" * 8,
    customer_id="acme",
    limit_key="daily",
    window_id="w1",
    granted=10,
    returned=1,
    consumed=2,
    recall_no=3,
    rate_per_minute=4,
    burst=5,
    carried=2,
    is_closed=True,
)
RESERVATION = Reservation(
    customer_id="acme",
    reservation_id="r-1",
    content=Content(
        quantities=(("output", "1.5"),),
        dimensions=(("model", "größe"),),
        minimum_quantities=(("output", "1"),),
    ),
    granted={"output": Decimal("1.5")},
    takes=(Take("daily", b"\x00\xff" * 8, 15), Take("own", b"", 1)),
    ttl_us=1,
    boot_id="boot",
    reserved_at_us=2,
    expires_at_us=3,
    reserve_time_us=4,
    caller="svc",
    used_so_far={"output": "1"},
    extensions=(("x", Content(quantities=(("output", "1"),))),),
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(tmp_path / "agent.db")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "lease",
    [
        LEASE,
        replace(LEASE, is_closed=False, tokens_us=3 * US_PER_MINUTE),
        replace(LEASE, is_given_up=True),
    ],
)
def test_a_lease_is_read_as_it_was_written(connection: sqlite3.Connection, lease: Lease) -> None:
    rows.write_leases(connection, [(lease, 7)])
    rows.write_leases(connection, [(lease, 8)])
    assert rows.load_leases(connection) == [(lease, 8)]
    rows.delete_leases(connection, [("acme", "daily", LEASE.lease_id)])
    assert rows.load_leases(connection) == []


def test_a_reservation_is_read_as_it_was_written(connection: sqlite3.Connection) -> None:
    end = Ending(kind=EndKind.SETTLE, content=Content(event_time_ns=5), event_id="e")
    other = returned(expired(RESERVATION), expiry_event_id="guess")
    for item in (RESERVATION, ended(RESERVATION, ending=end), other):
        rows.write_reservations(connection, [item], now_us=1)
        assert rows.find_reservation(connection, "r-1") == item
    assert rows.find_reservation(connection, "r-2") is None


def test_only_what_nobody_ended_is_loaded(connection: sqlite3.Connection) -> None:
    states = {
        state: replace(RESERVATION, reservation_id=state.value, state=state)
        for state in ReservationState
    }
    rows.write_reservations(connection, states.values(), now_us=1)
    loaded = {item.reservation_id for item in rows.load_open_reservations(connection)}
    assert loaded == {"held", "expired"}


def test_ended_ones_are_deleted_oldest_first_within_a_bound(
    connection: sqlite3.Connection,
) -> None:
    for number in range(5):
        item = replace(RESERVATION, reservation_id=f"r-{number}", state=ReservationState.SETTLED)
        rows.write_reservations(connection, [item], now_us=number)
    held = replace(RESERVATION, reservation_id="held")
    rows.write_reservations(connection, [held], now_us=0)
    delete = rows.delete_ended_reservations
    assert delete(connection, before_us=4, row_count_max=3) == 3
    assert delete(connection, before_us=4, row_count_max=3) == 1
    assert delete(connection, before_us=4, row_count_max=3) == 0
    assert rows.find_reservation(connection, "r-4") is not None
    assert rows.find_reservation(connection, "r-1") is None


def test_the_unsettled_are_paged_and_deleted_once_their_hold_went_back(
    connection: sqlite3.Connection,
) -> None:
    for number in range(3):
        item = expired(replace(RESERVATION, reservation_id=f"r-{number}"))
        kept = item if number == 0 else returned(item)
        rows.write_reservations(connection, [kept], now_us=number)
    page = rows.page_of_unsettled(connection, after_id="", row_count_max=2)
    assert [item.reservation_id for item in page] == ["r-0", "r-1"]
    page = rows.page_of_unsettled(connection, after_id="r-1", row_count_max=2)
    assert [item.reservation_id for item in page] == ["r-2"]
    delete = rows.delete_unsettled_reservations
    assert delete(connection, before_us=10, row_count_max=1) == 1
    assert delete(connection, before_us=10, row_count_max=9) == 1
    assert [item.reservation_id for item in rows.load_open_reservations(connection)] == ["r-0"]


def test_terms_are_bytes_by_customer(connection: sqlite3.Connection) -> None:
    rows.write_terms(connection, [("acme", 1, b"one"), ("other", 2, b"two")])
    rows.write_terms(connection, [("acme", 3, b"three")])
    assert sorted(rows.load_terms(connection)) == [("acme", 3, b"three"), ("other", 2, b"two")]
