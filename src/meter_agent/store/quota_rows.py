"""Rows of leases, reservations and terms. What they mean is `core.quota`'s and `quota`'s."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from meter_agent.core.quota.decide import Take
from meter_agent.core.quota.lease import US_PER_MINUTE, Lease
from meter_agent.core.quota.reservation import (
    Content,
    Ending,
    EndKind,
    Reservation,
    ReservationState,
)

LeaseRow = tuple[Lease, int]
"""A lease, and the highest position on disk whose event may name it (0: none)."""
TermsRow = tuple[str, int, bytes]
"""Customer, revision, a serialized `CustomerTerms`."""

_LEASE_COLUMNS: Final = (
    "customer_id",
    "limit_key",
    "lease_id",
    "window_id",
    "granted",
    "returned",
    "consumed",
    "recall_no",
    "rate_per_minute",
    "burst",
    "tokens",
    "carried",
    "is_closed",
)
_CLOSED: Final = 1
_GIVEN_UP: Final = 2
"""In `is_closed`: closed, and given up; a version that does not know of it reads: closed."""
_UPSERT_LEASE: Final = (
    f"INSERT OR REPLACE INTO lease ({', '.join(_LEASE_COLUMNS)}, last_seq) "
    f"VALUES ({', '.join('?' * (len(_LEASE_COLUMNS) + 1))})"
)
_UPSERT_RESERVATION: Final = (
    "INSERT OR REPLACE INTO reservation (reservation_id, state, change_time_us, body) "
    "VALUES (?, ?, ?, ?)"
)
_OPEN_STATES: Final = (ReservationState.HELD.value, ReservationState.EXPIRED.value)


def load_leases(connection: sqlite3.Connection) -> list[LeaseRow]:
    """Reads all leases; what reservations hold of them is not in their rows."""
    rows = connection.execute(f"SELECT {', '.join(_LEASE_COLUMNS)}, last_seq FROM lease")
    found = []
    for *values, last_seq in rows:
        named = dict(zip(_LEASE_COLUMNS, values, strict=True))
        named["is_given_up"] = named["is_closed"] == _GIVEN_UP
        named["is_closed"] = bool(named["is_closed"])
        named["tokens_us"] = named.pop("tokens") * US_PER_MINUTE
        found.append((Lease(**named), last_seq))
    return found


def write_leases(connection: sqlite3.Connection, rows: Iterable[LeaseRow]) -> None:
    """Writes leases in the transaction that is open."""
    connection.executemany(
        _UPSERT_LEASE,
        [
            (
                lease.customer_id,
                lease.limit_key,
                lease.lease_id,
                lease.window_id,
                lease.granted,
                lease.returned,
                lease.consumed,
                lease.recall_no,
                lease.rate_per_minute,
                lease.burst,
                lease.tokens_us // US_PER_MINUTE,
                lease.carried,
                _GIVEN_UP if lease.is_given_up else _CLOSED * lease.is_closed,
                last_seq,
            )
            for lease, last_seq in rows
        ],
    )


def delete_leases(connection: sqlite3.Connection, keys: Iterable[tuple[str, str, bytes]]) -> None:
    """Deletes leases by (customer id, limit key, lease id)."""
    connection.executemany(
        "DELETE FROM lease WHERE customer_id = ? AND limit_key = ? AND lease_id = ?", list(keys)
    )


def load_open_reservations(connection: sqlite3.Connection) -> list[Reservation]:
    """Reads the reservations that nobody ended, those whose hold went back as well."""
    rows = connection.execute(
        "SELECT reservation_id, state, body FROM reservation WHERE state IN (?, ?)", _OPEN_STATES
    )
    return [_reservation(*row) for row in rows]


def find_reservation(connection: sqlite3.Connection, reservation_id: str) -> Reservation | None:
    """Reads one reservation in any state; None where there is none."""
    row = connection.execute(
        "SELECT reservation_id, state, body FROM reservation WHERE reservation_id = ?",
        (reservation_id,),
    ).fetchone()
    return None if row is None else _reservation(*row)


def write_reservations(
    connection: sqlite3.Connection, reservations: Iterable[Reservation], *, now_us: int
) -> None:
    """Writes reservations in the transaction that is open.

    Args:
        connection: The writer's.
        reservations: As they are to be.
        now_us: Wall clock, microseconds since 1970 UTC.
    """
    connection.executemany(
        _UPSERT_RESERVATION,
        [(item.reservation_id, item.state.value, now_us, _body(item)) for item in reservations],
    )


def delete_ended_reservations(
    connection: sqlite3.Connection, *, before_us: int, row_count_max: int
) -> int:
    """Deletes reservations that ended before an instant, the oldest first; returns how many.

    Args:
        connection: The writer's.
        before_us: Microseconds since 1970 UTC.
        row_count_max: Most rows, >= 1.
    """
    states = [state.value for state in ReservationState if state.value not in _OPEN_STATES]
    deleted = 0
    for state in states:
        cursor = connection.execute(
            "DELETE FROM reservation WHERE rowid IN (SELECT rowid FROM reservation "
            "WHERE state = ? AND change_time_us < ? ORDER BY change_time_us LIMIT ?)",
            (state, before_us, row_count_max - deleted),
        )
        deleted += cursor.rowcount
    return deleted


def delete_unsettled_reservations(
    connection: sqlite3.Connection, *, before_us: int, row_count_max: int
) -> int:
    """Deletes reservations that nobody ended and whose hold went back before an instant.

    Args:
        connection: The writer's.
        before_us: Microseconds since 1970 UTC.
        row_count_max: Most rows, >= 1.

    Returns:
        How many.
    """
    return connection.execute(
        "DELETE FROM reservation WHERE rowid IN (SELECT rowid FROM reservation "
        "WHERE state = ? AND change_time_us < ? AND json_extract(body, '$.is_returned') "
        "ORDER BY change_time_us LIMIT ?)",
        (ReservationState.EXPIRED.value, before_us, row_count_max),
    ).rowcount


def page_of_unsettled(
    connection: sqlite3.Connection, *, after_id: str, row_count_max: int
) -> list[Reservation]:
    """Reads reservations that expired and that nobody ended, in the order of their ids.

    Args:
        connection: Any.
        after_id: The last one of the page before; empty: the first page.
        row_count_max: Most rows, >= 1.
    """
    found = connection.execute(
        "SELECT reservation_id, state, body FROM reservation "
        "WHERE state = ? AND reservation_id > ? ORDER BY reservation_id LIMIT ?",
        (ReservationState.EXPIRED.value, after_id, row_count_max),
    )
    return [_reservation(*row) for row in found]


def load_terms(connection: sqlite3.Connection) -> list[TermsRow]:
    """Reads the terms of all customers."""
    return connection.execute("SELECT customer_id, revision, terms FROM customer_terms").fetchall()


def write_terms(connection: sqlite3.Connection, rows: Sequence[TermsRow]) -> None:
    """Writes terms in the transaction that is open."""
    connection.executemany(
        "INSERT OR REPLACE INTO customer_terms (customer_id, revision, terms) VALUES (?, ?, ?)",
        rows,
    )


def _body(item: Reservation) -> str:
    ending = item.ending
    return json.dumps(
        {
            "customer_id": item.customer_id,
            "content": _content_to_json(item.content),
            "granted": {name: str(value) for name, value in item.granted.items()},
            "takes": [[take.limit_key, take.lease_id.hex(), take.amount] for take in item.takes],
            "ttl_us": item.ttl_us,
            "boot_id": item.boot_id,
            "reserved_at_us": item.reserved_at_us,
            "expires_at_us": item.expires_at_us,
            "reserve_time_us": item.reserve_time_us,
            "caller": item.caller,
            "used_so_far": dict(item.used_so_far),
            "extensions": [[name, _content_to_json(said)] for name, said in item.extensions],
            "ending": None
            if ending is None
            else [ending.kind.value, _content_to_json(ending.content), ending.event_id],
            "is_returned": item.is_returned,
            "expiry_event_id": item.expiry_event_id,
        },
        separators=(",", ":"),
    )


def _reservation(reservation_id: str, state: str, body: str) -> Reservation:
    found: dict[str, Any] = json.loads(body)
    ending = found.pop("ending")
    return Reservation(
        reservation_id=reservation_id,
        state=ReservationState(state),
        content=_content(found.pop("content")),
        granted={name: Decimal(text) for name, text in found.pop("granted").items()},
        takes=tuple(
            Take(limit_key, bytes.fromhex(lease_id), amount)
            for limit_key, lease_id, amount in found.pop("takes")
        ),
        extensions=tuple((name, _content(said)) for name, said in found.pop("extensions")),
        ending=None
        if ending is None
        else Ending(kind=EndKind(ending[0]), content=_content(ending[1]), event_id=ending[2]),
        **found,
    )


def _content_to_json(content: Content) -> list[Any]:
    return [
        content.quantities,
        content.dimensions,
        content.minimum_quantities,
        content.event_time_ns,
    ]


def _content(found: list[Any]) -> Content:
    quantities, dimensions, minimum_quantities, event_time_ns = found
    return Content(
        quantities=_pairs(quantities),
        dimensions=_pairs(dimensions),
        minimum_quantities=_pairs(minimum_quantities),
        event_time_ns=event_time_ns,
    )


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)
