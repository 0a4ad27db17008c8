"""Leases, reservations and terms in memory, and the changes of one commit on their way to disk.

Only the writer's thread changes it, inside a commit: what was changed is staged, written with the
usage of the same commit, and kept once that is durable. Other threads may look at what is durable.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.lease import reloaded as lease_reloaded
from meter_agent.core.quota.reservation import Reservation
from meter_agent.core.quota.reservation import reloaded as reservation_reloaded
from meter_agent.core.quota.terms import CustomerTerms
from meter_agent.quota.ahead import Ahead
from meter_agent.quota.clock import LeaseClock
from meter_agent.store import quota_rows as rows
from metering.limits import LimitKind

LeaseKey = tuple[str, bytes]
"""Limit key and lease id; the agent's own allowance of a limit has an empty id."""
Leases = dict[LeaseKey, Lease]
TermsReader = Callable[[bytes], CustomerTerms]
"""Reads serialized terms; their windows' ends are not known any more."""

_NO_LEASES: Final[Leases] = {}
_ZERO: Final = Decimal(0)


class QuotaBook:
    """What the agent knows of quota; the writer's ledger.

    Args:
        clock: Of leases.
        read_terms: Reads terms as they lie on disk.
    """

    def __init__(self, *, clock: LeaseClock, read_terms: TermsReader) -> None:
        self.clock: Final = clock
        self._read_terms = read_terms
        self._connection: sqlite3.Connection | None = None
        self._terms: dict[str, CustomerTerms] = {}
        self._leases: dict[str, Leases] = {}
        self._last_seqs: dict[tuple[str, str, bytes], int] = {}
        self._reservations: dict[str, Reservation] = {}
        self._ahead: dict[str, Ahead] = {}
        self.unsettled_count = 0
        """Reservations that nobody ended and whose hold went back; >= 0."""
        self._clear()

    # What any thread may look at.

    @property
    def is_used(self) -> bool:
        """Whether anything is known of any limit."""
        return bool(self._terms or self._leases)

    def is_known(self, customer_id: str) -> bool:
        """Tells whether terms of the customer are known that have a limit."""
        terms = self._terms.get(customer_id)
        return terms is not None and bool(terms.limits)

    def all_terms(self) -> list[CustomerTerms]:
        """Returns the terms of all customers."""
        return list(self._terms.values())

    def all_leases(self) -> list[Lease]:
        """Returns all durable leases, closed ones too."""
        return [lease for held in list(self._leases.values()) for lease in list(held.values())]

    def all_reservations(self) -> list[Reservation]:
        """Returns the reservations that hold something."""
        return list(self._reservations.values())

    def held_reservation(self, reservation_id: str) -> Reservation | None:
        """Returns a reservation that holds something; None where none of that id does."""
        return self._reservations.get(reservation_id)

    # What operations see and do, in the writer's thread.

    def terms_of(self, customer_id: str) -> CustomerTerms | None:
        """Returns the customer's terms; None where they were never heard."""
        staged = self._staged_terms.get(customer_id)
        return staged[0] if staged is not None else self._terms.get(customer_id)

    def leases_of(self, customer_id: str) -> tuple[Lease, ...]:
        """Returns the customer's leases of all limits."""
        held = self._staged_leases.get(customer_id)
        if held is None:
            held = self._leases.get(customer_id, _NO_LEASES)
        return tuple(held.values())

    def current_leases(self) -> list[Lease]:
        """Returns all leases as this transaction has left them so far.

        Whoever changes leases looks at these: what was changed before in the same commit is not
        durable yet, and would be undone.
        """
        held = self._leases | self._staged_leases
        return [lease for leases in held.values() for lease in leases.values()]

    def reservation(self, reservation_id: str) -> Reservation | None:
        """Returns a reservation in any state; None where this agent has none of that id."""
        found = self._staged_reservations.get(reservation_id) or self._reservations.get(
            reservation_id
        )
        if found is not None or self._connection is None:
            return found
        return rows.find_reservation(self._connection, reservation_id)

    def ahead_of(
        self, customer_id: str, names: Mapping[str, object], *, ended: Reservation | None = None
    ) -> dict[str, Decimal] | None:
        """Returns how far a customer may be ahead of its prices; None where money is no matter.

        Args:
            customer_id: Whose.
            names: Of the quantities.
            ended: A reservation that ends: what it holds itself is left out.
        """
        ahead = self._ahead.get(customer_id)
        if ahead is None:
            return None
        found = ahead.quantities(names)
        staged = self._staged_ahead.get(customer_id)
        more = {} if staged is None else staged.quantities(names)
        own = ended.granted if ended is not None and ended.holds else {}
        return {
            name: value + more.get(name, _ZERO) - own.get(name, _ZERO)
            for name, value in found.items()
        }

    def put_leases(self, leases: Iterable[Lease]) -> None:
        """Changes leases, or adds them."""
        for lease in leases:
            held = self._staged_leases.get(lease.customer_id)
            if held is None:
                held = dict(self._leases.get(lease.customer_id, _NO_LEASES))
                self._staged_leases[lease.customer_id] = held
            held[lease.limit_key, lease.lease_id] = lease
            self._changed_leases[lease.customer_id, lease.limit_key, lease.lease_id] = lease

    def forget_lease(self, lease: Lease) -> None:
        """Deletes a lease that is done with."""
        self.put_leases((lease,))
        del self._staged_leases[lease.customer_id][lease.limit_key, lease.lease_id]
        key = (lease.customer_id, lease.limit_key, lease.lease_id)
        del self._changed_leases[key]
        self._forgotten.append(key)

    def last_seq(self, lease: Lease) -> int:
        """Returns the highest position on disk whose event may name the lease; 0: none."""
        return self._last_seqs.get((lease.customer_id, lease.limit_key, lease.lease_id), 0)

    def put_reservation(self, reservation: Reservation) -> None:
        """Changes a reservation, or adds it."""
        if reservation.customer_id in self._ahead:
            self._stage_ahead(reservation)
        self._staged_reservations[reservation.reservation_id] = reservation

    def put_terms(self, terms: CustomerTerms, *, raw: bytes, applied_seq: int) -> None:
        """Changes the terms of a customer.

        Args:
            terms: As told.
            raw: The same, serialized.
            applied_seq: Position that the server had applied when it was asked.
        """
        self._staged_terms[terms.customer_id] = (terms, raw, applied_seq)

    def note_use(self, customer_id: str, quantities: Mapping[str, Decimal]) -> None:
        """Notes usage that is recorded in this transaction."""
        if customer_id in self._ahead:
            self._used.append((customer_id, quantities))
            self._staged_ahead.setdefault(customer_id, Ahead()).hold(quantities)

    def prune(self, *, ended_before_us: int, unsettled_before_us: int, row_count_max: int) -> int:
        """Deletes rows of reservations that are done with; returns how many.

        Args:
            ended_before_us: Of those that ended; wall clock, microseconds since 1970 UTC.
            unsettled_before_us: Of those that nobody ended.
            row_count_max: Most rows of each kind, >= 1.
        """
        if self._connection is None:
            return 0
        ended = rows.delete_ended_reservations(
            self._connection, before_us=ended_before_us, row_count_max=row_count_max
        )
        given_up = rows.delete_unsettled_reservations(
            self._connection, before_us=unsettled_before_us, row_count_max=row_count_max
        )
        self._pruned += ended + given_up
        self._given_up += given_up
        return ended + given_up

    # The writer's ledger.

    def load(self, connection: sqlite3.Connection) -> None:
        """Reads all rows anew; leases that were confirmed in this process stay so."""
        self._clear()
        before = {_key(lease): lease for lease in self.all_leases()}
        known = {item.reservation_id for item in self.all_reservations()}
        now_us = self.clock.now_us()
        self._terms = {
            customer_id: self._read_terms(raw)
            for customer_id, _, raw in rows.load_terms(connection)
        }
        opened = rows.load_open_reservations(connection)
        self.unsettled_count = sum(not item.holds for item in opened)
        self._reservations = {
            item.reservation_id: item
            if item.reservation_id in known
            else reservation_reloaded(item, boot_id=self.clock.boot_id, now_us=now_us)
            for item in opened
            if item.holds
        }
        self._load_leases(connection, before)
        self._ahead = {}
        for terms in self._terms.values():
            self._follow_ahead(terms, is_told=False)
        for item in self._reservations.values():
            if item.customer_id in self._ahead:
                self._ahead[item.customer_id].hold(item.granted)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begins a transaction on this connection."""
        self._connection = connection
        self._clear()

    def write(self, *, last_seq: int) -> int:
        """Writes every row that was changed since `begin`, and returns how many.

        Args:
            last_seq: Highest position of the events of this transaction.
        """
        connection = self._connection
        if connection is None:
            return 0
        count = self._pruned
        if self._changed_leases:
            self._write_leases(connection, last_seq=last_seq)
            count += len(self._changed_leases)
        if self._forgotten:
            rows.delete_leases(connection, self._forgotten)
            count += len(self._forgotten)
        if self._staged_reservations:
            staged = self._staged_reservations.values()
            rows.write_reservations(connection, staged, now_us=self.clock.wall_us())
            count += len(staged)
        if self._staged_terms:
            rows.write_terms(
                connection,
                [
                    (name, terms.revision, raw)
                    for name, (terms, raw, _) in self._staged_terms.items()
                ],
            )
            count += len(self._staged_terms)
        self._last_seq = last_seq
        return count

    def committed(self) -> None:
        """Keeps what was changed: it is durable."""
        for customer_id, held in self._staged_leases.items():
            if held:
                self._leases[customer_id] = held
            else:
                self._leases.pop(customer_id, None)
        self._last_seqs.update(self._staged_seqs)
        for key in self._forgotten:
            self._last_seqs.pop(key, None)
        for terms, _, applied_seq in self._staged_terms.values():
            self._terms[terms.customer_id] = terms
            self._follow_ahead(terms, is_told=True, applied_seq=applied_seq)
        for customer_id, quantities in self._used:
            self._ahead[customer_id].use(quantities, seq=self._last_seq)
        for reservation in self._staged_reservations.values():
            self._keep_reservation(reservation)
        self.unsettled_count -= self._given_up
        self._clear()

    def rolled_back(self) -> None:
        """Forgets what was changed since `begin`."""
        self._clear()

    def _keep_reservation(self, reservation: Reservation) -> None:
        before = self._reservations.get(reservation.reservation_id)
        ahead = self._ahead.get(reservation.customer_id)
        if ahead is not None and before is not None:
            ahead.unhold(before.granted)
        if reservation.holds:
            self._reservations[reservation.reservation_id] = reservation
            if ahead is not None:
                ahead.hold(reservation.granted)
            return
        self._reservations.pop(reservation.reservation_id, None)
        if reservation.is_returned:
            # It joins the list of the unsettled when its hold goes back, and leaves it late.
            self.unsettled_count += 1 if reservation.ending is None else -1

    def _stage_ahead(self, reservation: Reservation) -> None:
        """Notes what a reservation holds for those that are decided in the same commit."""
        before = self._staged_reservations.get(
            reservation.reservation_id
        ) or self._reservations.get(reservation.reservation_id)
        staged = self._staged_ahead.setdefault(reservation.customer_id, Ahead())
        if before is not None and before.holds:
            staged.unhold(before.granted)
        if reservation.holds:
            staged.hold(reservation.granted)

    def _load_leases(
        self, connection: sqlite3.Connection, before: dict[tuple[str, str, bytes], Lease]
    ) -> None:
        held: dict[tuple[str, str, bytes], int] = {}
        for item in self._reservations.values():
            for take in item.takes:
                key = (item.customer_id, take.limit_key, take.lease_id)
                held[key] = held.get(key, 0) + take.amount
        self._leases, self._last_seqs = {}, {}
        for row, last_seq in rows.load_leases(connection):
            key = _key(row)
            is_share = row.is_share
            lease = replace(row, held=0 if is_share else held.get(key, 0))
            known = before.get(key)
            lease = lease_reloaded(lease) if known is None else _as_timed(lease, known)
            self._leases.setdefault(row.customer_id, {})[row.limit_key, row.lease_id] = lease
            self._last_seqs[key] = last_seq

    def _follow_ahead(self, terms: CustomerTerms, *, is_told: bool, applied_seq: int = 0) -> None:
        if not any(limit.kind is LimitKind.MONEY for limit in terms.limits):
            self._ahead.pop(terms.customer_id, None)
            return
        ahead = self._ahead.get(terms.customer_id)
        if ahead is None:
            ahead = self._ahead[terms.customer_id] = Ahead()
            for item in self._reservations.values():
                if item.customer_id == terms.customer_id:
                    ahead.hold(item.granted)
        if is_told:
            ahead.told(applied_seq=applied_seq)
        else:
            ahead.forget_place()

    def _write_leases(self, connection: sqlite3.Connection, *, last_seq: int) -> None:
        written = []
        for key, lease in self._changed_leases.items():
            before = self._leases.get(lease.customer_id, _NO_LEASES).get(
                (lease.limit_key, lease.lease_id)
            )
            consumed = 0 if before is None else before.consumed
            if lease.consumed > consumed:
                self._staged_seqs[key] = last_seq
            written.append((lease, self._staged_seqs.get(key) or self._last_seqs.get(key, 0)))
        rows.write_leases(connection, written)

    def _clear(self) -> None:
        self._staged_leases: dict[str, Leases] = {}
        self._changed_leases: dict[tuple[str, str, bytes], Lease] = {}
        self._staged_seqs: dict[tuple[str, str, bytes], int] = {}
        self._forgotten: list[tuple[str, str, bytes]] = []
        self._staged_reservations: dict[str, Reservation] = {}
        self._staged_terms: dict[str, tuple[CustomerTerms, bytes, int]] = {}
        self._staged_ahead: dict[str, Ahead] = {}
        self._used: list[tuple[str, Mapping[str, Decimal]]] = []
        self._pruned = 0
        self._given_up = 0
        self._last_seq = 0


def _key(lease: Lease) -> tuple[str, str, bytes]:
    return (lease.customer_id, lease.limit_key, lease.lease_id)


def _as_timed(lease: Lease, known: Lease) -> Lease:
    """Returns a lease that was read again, with what its row does not keep."""
    return replace(
        lease,
        usable_from_us=known.usable_from_us,
        usable_until_us=known.usable_until_us,
        tokens_us=known.tokens_us,
        filled_at_us=known.filled_at_us,
    )
