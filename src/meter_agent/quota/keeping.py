"""What falls due by time: holds that expire and go back, leases that run out, rows that may go."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Final

from meter_agent.core.quota import reservation as core
from meter_agent.core.quota import settle as effects
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import LATE_US_DEFAULT, Reservation
from meter_agent.core.quota.sync import may_forget, run_out
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from meter_agent.quota.ending import allowances_of, debits_of, recorded
from meter_agent.quota.reserving import Counter
from meter_agent.store.operation import Recorded
from metering.api.v1.usage_pb2 import SETTLEMENT_KIND_EXPIRED, Settlement, UsageEvent
from metering.ids import expiry_event_id
from metering.limits import ExpiryBilling, LimitKind
from metering.quantity import plain_decimal

DUE_COUNT_MAX: Final = 1_000
"""Reservations and leases handled in one commit, so that no caller waits long."""
_TIMED_KINDS: Final = frozenset({LimitKind.RATE, LimitKind.ROLLING, LimitKind.CONCURRENCY})
"""Kinds whose leases end by time, over and over, in windows that never do."""


class Farewells:
    """Tells when closed leases of windows that never end may be forgotten.

    The server has to have heard that one is closed in all that it may be restored to. That is so
    once an event has been deleted here that was recorded after the server had heard of it: events
    are kept for as long as a backup may be old.

    Args:
        next_seq: Tells the position of the next event.
    """

    def __init__(self, next_seq: Callable[[], int]) -> None:
        self._next_seq = next_seq
        self._borders: dict[tuple[str, str, bytes], int] = {}

    def is_past(self, lease: Lease, *, earliest_kept_seq: int) -> bool:
        """Tells whether a closed lease, of which the server has heard, may be forgotten."""
        key = (lease.customer_id, lease.limit_key, lease.lease_id)
        border = self._borders.get(key)
        if border is None:
            border = self._borders[key] = self._next_seq()
        return earliest_kept_seq > border

    def drop(self, lease: Lease) -> None:
        """Forgets about a lease whose row is gone."""
        self._borders.pop((lease.customer_id, lease.limit_key, lease.lease_id), None)


@dataclass(frozen=True, slots=True)
class Due:
    """What is due now."""

    reservations: tuple[Reservation, ...] = ()
    """To expire, or to give back what they hold."""
    is_lease_due: bool = False
    """Whether a lease has run out, or its row may go."""

    def __bool__(self) -> bool:
        return bool(self.reservations) or self.is_lease_due


def always_told(_lease: Lease) -> bool:
    """Tells that the server has heard of a lease as it is: where nobody keeps account of that."""
    return True


def due(
    counter: Counter,
    *,
    late_us: int = LATE_US_DEFAULT,
    earliest_kept_seq: int,
    is_told: Callable[[Lease], bool] = always_told,
    farewells: Farewells | None = None,
) -> Due:
    """Returns what is due. Any thread may ask.

    Args:
        counter: What is known.
        late_us: How long an expired hold is presumed used.
        earliest_kept_seq: Lowest position on disk.
        is_told: Tells whether the server has heard of a lease as it is now.
        farewells: Of windows that never end; None: their leases are kept.
    """
    book, now_us = counter.book, counter.book.clock.now_us()
    found = [
        item
        for item in book.all_reservations()
        if core.is_due_to_expire(item, now_us=now_us)
        or core.is_due_to_return(item, now_us=now_us, late_us=late_us)
    ]
    leases = book.all_leases()
    may_go = partial(
        _may_forget,
        counter=counter,
        earliest_kept_seq=earliest_kept_seq,
        is_told=is_told,
        farewells=farewells,
    )
    is_lease_due = bool(run_out(leases, now_us=now_us)) or any(may_go(lease) for lease in leases)
    return Due(tuple(found[:DUE_COUNT_MAX]), is_lease_due)


def keep(
    found: Due,
    *,
    counter: Counter,
    late_us: int = LATE_US_DEFAULT,
    earliest_kept_seq: int,
    is_told: Callable[[Lease], bool] = always_told,
    farewells: Farewells | None = None,
) -> Recorded | None:
    """Does what is due; returns what is billed on a guess because a limit says so.

    Args:
        found: What was due.
        counter: What is known.
        late_us: As in `due`.
        earliest_kept_seq: As in `due`.
        is_told: As in `due`.
        farewells: As in `due`.
    """
    book, now_us = counter.book, counter.book.clock.now_us()
    events = []
    for asked in found.reservations:
        item = book.reservation(asked.reservation_id)
        if item is None:
            continue
        if core.is_due_to_expire(item, now_us=now_us):
            item = _expire(item, counter=counter)
        if core.is_due_to_return(item, now_us=now_us, late_us=late_us):
            event = _give_back(item, counter=counter)
            if event is not None:
                events.append(event)
    book.put_leases(run_out(book.current_leases(), now_us=now_us)[:DUE_COUNT_MAX])
    for lease in book.current_leases():
        if _may_forget(
            lease,
            counter=counter,
            earliest_kept_seq=earliest_kept_seq,
            is_told=is_told,
            farewells=farewells,
        ):
            book.forget_lease(lease)
            if farewells is not None:
                farewells.drop(lease)
    return recorded(events) if events else None


def _expire(item: Reservation, *, counter: Counter) -> Reservation:
    book = counter.book
    terms = book.terms_of(item.customer_id) or CustomerTerms(customer_id=item.customer_id)
    effect, takes = effects.give_back_at_expiry(
        item, terms=terms, leases=book.leases_of(item.customer_id), now_us=book.clock.now_us()
    )
    expired = replace(core.expired(item), takes=takes)
    book.put_leases(effect.leases)
    book.put_reservation(expired)
    counter.figures.expired_count += 1
    return expired


def _give_back(item: Reservation, *, counter: Counter) -> UsageEvent | None:
    """Gives an expired hold back, or bills it where a limit says so."""
    book = counter.book
    terms = book.terms_of(item.customer_id) or CustomerTerms(customer_id=item.customer_id)
    quantities = _guess(item, terms=terms)
    leases, now_us = book.leases_of(item.customer_id), book.clock.now_us()
    if not quantities:
        book.put_leases(effects.give_back(item, leases=leases, now_us=now_us).leases)
        book.put_reservation(core.returned(item))
        return None
    used = {name: Decimal(text) for name, text in quantities.items()}
    effect = effects.settle(
        item,
        terms=terms,
        leases=leases,
        dimensions=dict(item.content.dimensions),
        quantities=used,
        now_us=now_us,
        ahead=book.ahead_of(item.customer_id, used, ended=item),
    )
    event_id = expiry_event_id(item.customer_id, item.reservation_id)
    book.put_leases(effect.leases)
    book.put_reservation(core.returned(item, expiry_event_id=event_id))
    book.note_use(item.customer_id, used)
    counter.figures.billed_on_expiry_count += 1
    return UsageEvent(
        event_id=event_id,
        customer_id=item.customer_id,
        quantities=quantities,
        dimensions=dict(item.content.dimensions),
        debits=debits_of(effect),
        settlement=Settlement(
            reservation_id=item.reservation_id,
            kind=SETTLEMENT_KIND_EXPIRED,
            allowances=allowances_of(effect),
        ),
    )


def _guess(item: Reservation, *, terms: CustomerTerms) -> dict[str, str]:
    """Returns what is billed for a reservation that nobody ended: the most that a limit says."""
    keys = {take.limit_key for take in item.takes}
    limits = [limit for limit in terms.limits if limit.limit_key in keys]
    guesses = [_guess_of(item, limit=limit) for limit in limits]
    names = sorted({name for guess in guesses for name in guess})
    return {
        name: plain_decimal(max(Decimal(guess.get(name, "0")) for guess in guesses))
        for name in names
    }


def _guess_of(item: Reservation, *, limit: LimitTerms) -> dict[str, str]:
    if limit.bill_on_expiry is ExpiryBilling.MAX:
        return {name: plain_decimal(value) for name, value in item.granted.items()}
    if limit.bill_on_expiry is ExpiryBilling.USED_SO_FAR:
        return dict(item.used_so_far)
    if limit.bill_on_expiry is ExpiryBilling.INPUT:
        shrinkable = {name for name, _ in item.content.minimum_quantities}
        return {
            name: plain_decimal(value)
            for name, value in item.granted.items()
            if name not in shrinkable
        }
    return {}


def _may_forget(
    lease: Lease,
    *,
    counter: Counter,
    earliest_kept_seq: int,
    is_told: Callable[[Lease], bool],
    farewells: Farewells | None,
) -> bool:
    book = counter.book
    terms = book.terms_of(lease.customer_id)
    limit = None if terms is None else terms.limit(lease.limit_key)
    is_running = limit is not None and limit.window_id == lease.window_id
    if is_running and (farewells is None or limit is None or limit.kind not in _TIMED_KINDS):
        return False
    last_seq, deletable_seq = book.last_seq(lease), earliest_kept_seq - 1
    if not may_forget(lease, last_event_seq=last_seq, deletable_seq=deletable_seq):
        return False
    # What the server was not told of would stay leased there, and held, for good.
    if not is_told(lease):
        return False
    if is_running and farewells is not None:
        return farewells.is_past(lease, earliest_kept_seq=earliest_kept_seq)
    return True
