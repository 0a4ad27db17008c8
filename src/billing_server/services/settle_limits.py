"""Settling: what counted events mean for limits, in the transaction that counts them.

Units: the use counts (S), and so do the debits of leases. Money: the change of the customer's
cumulative rated amount counts, never a rounded cost of one event. What no lease bore is told apart:
borne by an offline allowance of the agent, unreserved where nothing was reserved, overrun beyond a
reservation, an error of the estimate for money.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing_server.domain.limit.in_force import LimitInForce
from billing_server.domain.limit.lease import Lease, WindowKey, bearable, debited
from billing_server.domain.ports.limits import LimitAccount, SettledReservation, ThresholdEvent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.domain.usage.meter_index import MeterEffect
from billing_server.services.limit_accounts import (
    Window,
    book_rolling,
    bounded,
    micros,
    open_account,
    passed_thresholds,
    window_at,
)
from billing_server.services.usage_payload import DecodedEvent
from metering.api.v1 import usage_pb2
from metering.limits import LimitKind

_SETTLED_KINDS = (LimitKind.UNITS, LimitKind.ROLLING, LimitKind.MONEY)
"""Limits that use is booked to; a rate and slots are given back by time and by their agents."""


class LimitedEvent(NamedTuple):
    """An event of a customer that has limits, with what it adds to meters."""

    event: DecodedEvent
    effects: Sequence[MeterEffect]
    disk_ref: int
    """The disk that recorded it: a further one of an agent has leases and allowances of its own."""


@dataclass(slots=True)
class _Booking:
    """What a batch brings to one window."""

    limit: LimitInForce
    used: int = 0
    unreserved: int = 0
    overrun: int = 0
    debited: int = 0
    """Debits of leases of a money window: the estimate."""
    event_count: int = 0
    is_reserved: bool = False
    """Whether any of its events named a lease."""
    latest_use: list[tuple[datetime | None, int]] = field(default_factory=list)
    """Of a rolling window: when leases could be spent last, with the use."""
    claimed: Counter[int] = field(default_factory=Counter)
    """Of a money window: what allowances bore of the estimate, by disk."""
    allowances: Counter[int] = field(default_factory=Counter)
    """What offline allowances bore of the use, by disk."""

    def book_surplus(self, surplus: int, *, claimed: Mapping[int, int], is_reserved: bool) -> None:
        """Books use that no lease bore: first to allowances, as far as they say that they did."""
        for agent_ref, amount in sorted(claimed.items()):
            part = min(surplus, amount)
            self.allowances[agent_ref] += part
            surplus -= part
        if is_reserved:
            self.overrun += surplus
        else:
            self.unreserved += surplus


@contextmanager
def settled_limits(
    unit: UnitOfWork,
    *,
    events: Sequence[LimitedEvent],
    limits: Sequence[LimitInForce],
    now: datetime,
) -> Iterator[None]:
    """Settles the limits of customers around the block that counts their events.

    Args:
        unit: the transaction; the customers are held in it.
        events: of customers with limits, all of them new.
        limits: of these customers.
        now: the time.
    """
    if not events:
        yield
        return
    settling = _Settling(unit, events=events, limits=limits, now=now)
    settling.open_accounts()
    rated_before = settling.rated_totals()
    yield
    settling.book_units()
    settling.book_money(rated_before)
    settling.write()


class _Settling:
    """One batch of events of limited customers, settled once."""

    def __init__(
        self,
        unit: UnitOfWork,
        *,
        events: Sequence[LimitedEvent],
        limits: Sequence[LimitInForce],
        now: datetime,
    ) -> None:
        self._unit = unit
        self._now = now
        self._limits: dict[str, list[LimitInForce]] = {}
        for limit in limits:
            if limit.kind in _SETTLED_KINDS:
                self._limits.setdefault(limit.customer_id, []).append(limit)
        self._events = [(each, _carried(each.event)) for each in events]
        self._windows: dict[tuple[str, str], list[Window]] = {}
        # The account of what no lease bore, of each event and limit, in the order of the events.
        self._keys: list[dict[str, WindowKey]] = []
        self._leases: dict[bytes, Lease] = {}
        self._accounts: dict[WindowKey, LimitAccount] = {}
        self._bookings: dict[WindowKey, _Booking] = {}

    def open_accounts(self) -> None:
        """Holds the accounts of every window that the events fall into, opening current ones."""
        ids = {debit.lease_id for _, carried in self._events for debit in carried.debits}
        self._leases = self._unit.leases.by_id(ids)
        limits: dict[WindowKey, LimitInForce] = {}
        windows: dict[WindowKey, Window] = {}
        for each, carried in self._events:
            keys_of_event: dict[str, WindowKey] = {}
            self._keys.append(keys_of_event)
            for limit in self._limits.get(each.event.row.customer_id, ()):
                named = self._windows_named(limit, carried)
                window = self._window_of(limit, each.event)
                keys_of_event[limit.key] = named[0] if named else window.key
                limits.update(dict.fromkeys(named or [window.key], limit))
                windows[window.key] = window
        # That of an event's own time is opened before the event is counted, also where its lease is
        # of another window: opened later, it would begin with what is settled there.
        needed = set(limits) | set(windows)
        keys = needed | {lease.key for lease in self._leases.values()}
        self._accounts = self._unit.limits.lock_accounts(keys)
        for key in sorted(needed - set(self._accounts)):
            current = windows.get(key)
            # A window that ended without an account is no longer granted from: nothing to keep.
            if current is not None and (current.span.end or self._now) >= self._now:
                self._accounts[key] = open_account(self._unit, window=current, now=self._now)
        self._bookings = {
            key: _Booking(limit) for key, limit in limits.items() if key in self._accounts
        }
        # Read again under the lock of their accounts.
        self._leases = self._unit.leases.by_id(ids)

    def rated_totals(self) -> dict[str, Decimal]:
        """Returns what each customer with limits on money has used, rated."""
        return {
            customer_id: self._unit.limits.rated_total(customer_id)
            for customer_id, limits in sorted(self._limits.items())
            if any(limit.kind is LimitKind.MONEY for limit in limits)
        }

    def book_units(self) -> None:
        """Books what each event used, and what its leases bore of it."""
        for (each, carried), keys in zip(self._events, self._keys, strict=True):
            customer_id = each.event.row.customer_id
            borne = self._debit(carried, used=each)
            for limit in self._limits.get(customer_id, ()):
                key = keys[limit.key]
                parts = {each: part for each, part in borne.items() if each[:2] == key[:2]}
                claimed = {each.disk_ref: carried.allowances.get(limit.key, 0)}
                if limit.kind is LimitKind.MONEY:
                    self._book_estimate(key, parts=parts, claimed=claimed)
                    continue
                surplus = self._book_borne(key, parts=parts, used=_used(limit, each))
                if key in self._bookings:
                    self._bookings[key].book_surplus(
                        surplus, claimed=claimed, is_reserved=carried.is_settlement
                    )

    def book_money(self, rated_before: dict[str, Decimal]) -> None:
        """Books the rated change of each customer to the windows of its limits on money."""
        for customer_id, before in rated_before.items():
            change = micros(self._unit.limits.rated_total(customer_id)) - micros(before)
            for limit in self._limits[customer_id]:
                if limit.kind is LimitKind.MONEY:
                    self._book_rated(limit, change)

    def write(self) -> None:
        """Writes accounts, leases and thresholds, and tells holders what was settled elsewhere."""
        thresholds: list[ThresholdEvent] = []
        changed: list[LimitAccount] = []
        for key, booking in sorted(self._bookings.items()):
            account = self._booked(booking, account=self._accounts[key])
            crossed, highest = passed_thresholds(
                self._unit, limit=booking.limit, account=account, now=self._now
            )
            thresholds += crossed
            changed.append(replace(account, threshold=highest))
            self._unit.limits.add_allowance_use(key, amounts=booking.allowances)
        self._unit.limits.put_accounts(changed)
        self._unit.leases.put(list(self._leases.values()))
        self._unit.limits.add_threshold_events(thresholds)
        self._tell_holders()

    def _windows_named(self, limit: LimitInForce, carried: "_Carried") -> list[WindowKey]:
        """Returns the windows of a limit whose leases an event names, in its order."""
        leases = [self._leases.get(debit.lease_id) for debit in carried.debits]
        keys = [lease.key for lease in leases if lease is not None]
        return [key for key in dict.fromkeys(keys) if key[:2] == (limit.customer_id, limit.key)]

    def _window_of(self, limit: LimitInForce, event: DecodedEvent) -> Window:
        """Returns the window that holds an event's time; most events of a batch share one."""
        at = instant_from_microseconds(event.row.event_time_us)
        known = self._windows.setdefault((limit.customer_id, limit.key), [])
        for window in known:
            if window.span.contains(at):
                return window
        window = window_at(limit, at=at)
        known.append(window)
        return window

    def _book_borne(self, key: WindowKey, *, parts: Mapping[WindowKey, int], used: int) -> int:
        """Books use to the windows whose leases bore it, and the rest; returns the rest.

        An overrun may be borne by a lease of the window that has begun since the call did: each
        window counts what its own leases bore, so that none gives out again what was used of it.
        """
        rest = used
        for borne_in, part in parts.items():
            amount = min(part, rest)
            rest -= amount
            if borne_in in self._bookings:
                self._bookings[borne_in].used += amount
        if key in self._bookings:
            self._bookings[key].used += rest
            self._bookings[key].event_count += 1
        return rest

    def _book_estimate(
        self, key: WindowKey, *, parts: Mapping[WindowKey, int], claimed: Mapping[int, int]
    ) -> None:
        """Books what leases and allowances bore of a price's estimate; rating tells the use."""
        for borne_in in parts or [key]:
            booking = self._bookings.get(borne_in)
            if booking is not None:
                booking.event_count += 1
                booking.debited += parts.get(borne_in, 0)
                booking.is_reserved |= borne_in in parts
        if key in self._bookings:
            self._bookings[key].is_reserved |= any(claimed.values())
            self._bookings[key].claimed.update(claimed)

    def _debit(self, carried: "_Carried", *, used: LimitedEvent) -> dict[WindowKey, int]:
        """Takes the debits of an event from their leases; returns what was borne by window."""
        borne: dict[WindowKey, int] = {}
        for debit in carried.debits:
            lease = self._leases.get(debit.lease_id)
            if lease is None:
                # Granted before this server went back to a backup: its agent tells the rest.
                lease = Lease(
                    lease_id=debit.lease_id,
                    key=WindowKey(used.event.row.customer_id, "", ""),
                    agent_ref=used.disk_ref,
                    create_time=self._now,
                )
            amount = max(debit.amount, 0)
            part = bearable(lease, amount=amount) if lease.key.limit_key else amount
            borne[lease.key] = borne.get(lease.key, 0) + part
            self._leases[debit.lease_id] = debited(lease, amount=amount)
            booking = self._bookings.get(lease.key)
            if booking is not None and booking.limit.kind is LimitKind.ROLLING:
                booking.latest_use.append((lease.expire_time, part))
        return borne

    def _book_rated(self, limit: LimitInForce, change: int) -> None:
        bookings = [
            booking
            for key, booking in sorted(self._bookings.items())
            if key[:2] == (limit.customer_id, limit.key) and booking.event_count
        ]
        weights = Counter(
            {number: each.debited or each.event_count for number, each in enumerate(bookings)}
        )
        total, rest = weights.total(), change
        for number, booking in enumerate(bookings):
            is_last = number == len(bookings) - 1
            part = rest if is_last else change * weights[number] // total
            rest -= part
            booking.used += part
            booking.book_surplus(
                max(0, part - booking.debited),
                claimed=booking.claimed,
                is_reserved=booking.is_reserved,
            )

    def _booked(self, booking: _Booking, *, account: LimitAccount) -> LimitAccount:
        is_money = booking.limit.kind is LimitKind.MONEY
        if booking.limit.kind is LimitKind.ROLLING:
            self._book_rolling(booking, account.key)
        return replace(
            account,
            settled=bounded(account.settled + booking.used),
            unreserved=bounded(account.unreserved + booking.unreserved),
            overrun=bounded(account.overrun + (0 if is_money else booking.overrun)),
            estimate_error=bounded(account.estimate_error + (booking.overrun if is_money else 0)),
        )

    def _book_rolling(self, booking: _Booking, key: WindowKey) -> None:
        rest = booking.used
        for latest_use, part in [*booking.latest_use, (None, rest)]:
            amount = min(part, rest)
            rest -= amount
            if amount:
                book_rolling(
                    self._unit,
                    limit=booking.limit,
                    key=key,
                    amount=amount,
                    latest_use=latest_use,
                    now=self._now,
                )

    def _tell_holders(self) -> None:
        """Notes reservations that were settled at another agent for whoever may hold them."""
        for each, carried in self._events:
            if carried.settled_elsewhere is None:
                continue
            customer_id = each.event.row.customer_id
            others = set(self._unit.leases.watchers(customer_id)) - {each.disk_ref}
            named = SettledReservation(customer_id, carried.settled_elsewhere)
            self._unit.leases.add_settled_elsewhere(others, reservations=[named])
            self._unit.leases.announce([customer_id])


class _Carried(NamedTuple):
    """What the agent wrote beside the content of an event."""

    debits: Sequence[usage_pb2.Debit]
    allowances: Mapping[str, int]
    """Limit key to what an allowance of the agent's own bore."""
    is_settlement: bool
    settled_elsewhere: str | None
    """The reservation that another agent holds; None: none."""


def _carried(event: DecodedEvent) -> _Carried:
    message = usage_pb2.UsageEvent.FromString(event.row.payload)
    settlement = message.settlement
    is_elsewhere = settlement.kind == usage_pb2.SETTLEMENT_KIND_ELSEWHERE
    return _Carried(
        list(message.debits),
        {each.limit_key: max(each.amount, 0) for each in settlement.allowances},
        message.HasField("settlement"),
        settlement.reservation_id if is_elsewhere and settlement.reservation_id else None,
    )


def _used(limit: LimitInForce, each: LimitedEvent) -> int:
    """Returns what an event uses of a limit on a meter."""
    return sum(
        value
        for meter, value in each.effects
        if limit.counts(meter.key, dimensions=each.event.dimensions)
    )
