"""What the server says is taken in, and what it is asked for and told is made ready: all durably.

Each function runs in the writer's thread, in the commit that also changes the positions where the
numbering of syncs and sessions is concerned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from meter_agent.core.quota import settle as effects
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, Shortage
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import Content, Ending, EndKind, ended
from meter_agent.core.quota.sync import given_up, idle_returned, with_news
from meter_agent.core.quota.terms import LimitTerms
from meter_agent.quota.demands import LEASE_SECONDS
from meter_agent.quota.mapping import news_from_proto, terms_from_proto
from meter_agent.quota.reserving import Counter
from metering.api.v1 import lease_pb2
from metering.limits import LimitKind

IDLE_FACTOR: Final = 2
"""What is free beyond this many times what should be kept goes back."""


class Adoption(Enum):
    """Whether an answer may bring leases that are not on record."""

    KNOWN_ONLY = "known_only"
    """No: it answers for ids that were written before the call."""
    ANY = "any"
    """Yes: it is the answer to a sync or session of the present identity."""


@dataclass(frozen=True, slots=True)
class Heard:
    """When and at which position a request was sent that is answered now."""

    sent_at_us: int
    """Clock of leases."""
    applied_seq: int
    """Position on disk that was applied by then."""


@dataclass(frozen=True, slots=True)
class Want:
    """What the calls that wait lack of one limit, together."""

    customer_id: str
    """Whose limit."""
    limit_key: str
    """Which limit."""
    missing: int
    """What all of them lack, in the limit's smallest unit, >= 1."""
    missing_min: int
    """The least that helps one of them, 1..missing."""


@dataclass(frozen=True, slots=True)
class LeaseAsk:
    """What is asked for one lease, whose id is on disk."""

    lease: Lease
    """As it is on record."""
    granted: int
    """What should become of it."""
    granted_min: int
    """Less does not help."""


def adopt(
    leases: Iterable[lease_pb2.LeaseCounters],
    terms: Iterable[lease_pb2.CustomerTerms],
    *,
    heard: Heard,
    adoption: Adoption,
    counter: Counter,
) -> bool:
    """Takes in what the server said; returns whether a recall was answered.

    Args:
        leases: As the server has them.
        terms: That changed.
        heard: Of the request that is answered.
        adoption: Whether leases may be new.
        counter: What is known.
    """
    book, now_us = counter.book, counter.book.clock.now_us()
    for message in terms:
        told = terms_from_proto(message, sent_at_us=heard.sent_at_us)
        counter.lowered.heard(book.terms_of(told.customer_id), told)
        book.put_terms(
            told,
            raw=message.SerializeToString(),
            applied_seq=heard.applied_seq,
        )
    is_recalled = False
    for counters in leases:
        known = _find(counters.customer_id, counters.limit_key, counters.lease_id, counter)
        if known is None and adoption is Adoption.KNOWN_ONLY:
            continue
        news = news_from_proto(counters)
        after = with_news(known, news=news, sent_at_us=heard.sent_at_us, now_us=now_us)
        if known is not None and after.granted > known.granted:
            counter.lowered.granted(after)
        is_recalled = is_recalled or (known is not None and after.recall_no > known.recall_no)
        book.put_leases((after,))
    return is_recalled


def drop_settled_elsewhere(
    keys: Iterable[lease_pb2.ReservationKey], *, counter: Counter
) -> list[lease_pb2.ReservationKey]:
    """Gives back what reservations hold that were settled at another agent; returns all keys."""
    book = counter.book
    dropped = []
    for key in keys:
        dropped.append(key)
        found = book.reservation(key.reservation_id)
        if found is None or found.customer_id != key.customer_id or found.ending is not None:
            continue
        leases = book.leases_of(found.customer_id)
        effect = effects.give_back(found, leases=leases, now_us=book.clock.now_us())
        book.put_leases(effect.leases)
        # What was settled is not known here: no retry can repeat it.
        ending = Ending(kind=EndKind.RELEASE, content=Content(event_time_ns=-1))
        book.put_reservation(ended(found, ending=ending))
    return dropped


def asks_for(
    wants: Sequence[Want], *, fresh_ids: Sequence[bytes], counter: Counter
) -> list[LeaseAsk]:
    """Returns which leases to ask for; ids that are new are written before they are sent.

    What is asked for is what calls lack and no more: the server, which knows what is left and who
    else wants some, adds a float.

    Args:
        wants: One a limit.
        fresh_ids: 16 random bytes each, as many as there are wants.
        counter: What is known.
    """
    asks = []
    for want, fresh_id in zip(wants, fresh_ids, strict=True):
        terms = counter.book.terms_of(want.customer_id)
        limit = None if terms is None else terms.limit(want.limit_key)
        if limit is None:
            continue
        lease = _open_lease(want, limit=limit, counter=counter)
        if lease is None:
            lease = Lease(
                lease_id=fresh_id,
                customer_id=want.customer_id,
                limit_key=want.limit_key,
                window_id=limit.window_id,
                usable_until_us=0,
            )
            counter.book.put_leases((lease,))
        asks.append(LeaseAsk(lease, lease.granted + want.missing, lease.granted + want.missing_min))
    return asks


def wants_of(shortages: Iterable[tuple[str, Shortage]]) -> list[Want]:
    """Returns what calls lack, joined by customer and limit.

    Args:
        shortages: Customer id and shortage of each call.
    """
    joined: dict[tuple[str, str], Want] = {}
    for customer_id, item in shortages:
        least = max(1, item.missing - (item.wanted - item.wanted_min))
        key = (customer_id, item.limit_key)
        found = joined.get(key)
        # The first one takes what the leases have; all others lack the whole of their call.
        joined[key] = (
            Want(customer_id, item.limit_key, item.missing, least)
            if found is None
            else replace(
                found,
                missing=found.missing + item.wanted,
                missing_min=min(least, found.missing_min),
            )
        )
    return list(joined.values())


def idle(leases: Iterable[Lease], *, counter: Counter) -> list[Lease]:
    """Returns the leases that have more free than this agent needs. Any thread may ask."""
    now_us = counter.book.clock.now_us()
    return [
        lease
        for lease in leases
        if lease.free > 0
        and lease.lease_id != OFFLINE_LEASE_ID
        and lease.is_usable(now_us)
        and lease.free > IDLE_FACTOR * _keep(lease, counter=counter, now_us=now_us)
    ]


def return_idle(leases: Iterable[Lease], *, counter: Counter) -> int:
    """Gives back what is idle of these leases, as they are now; returns how many."""
    book, now_us = counter.book, counter.book.clock.now_us()
    count = 0
    for asked in leases:
        lease = _find(asked.customer_id, asked.limit_key, asked.lease_id, counter)
        if lease is None or not lease.is_usable(now_us):
            continue
        keep = _keep(lease, counter=counter, now_us=now_us)
        if lease.free > IDLE_FACTOR * keep:
            book.put_leases((idle_returned(lease, keep=keep),))
            count += 1
    return count


def give_up_all(counter: Counter) -> None:
    """Gives up every lease: the disk goes on under another identity."""
    own = [item for item in counter.book.current_leases() if item.lease_id != OFFLINE_LEASE_ID]
    counter.book.put_leases(given_up(own))


def _keep(lease: Lease, *, counter: Counter, now_us: int) -> int:
    """Returns what of a lease this agent should keep: a lease's length of demand, and a float."""
    demand = counter.demands.of(lease.customer_id, lease.limit_key)
    terms = counter.book.terms_of(lease.customer_id)
    limit = None if terms is None else terms.limit(lease.limit_key)
    if limit is None:
        return 0
    if limit.kind is LimitKind.CONCURRENCY:
        return 1 if demand.per_second(now_us) else 0
    # Whether there is enough for a float the server decides, which knows what is left: what was
    # returned by what was left when the limit was told came back at once, once a second for ever.
    return max(
        demand.per_second(now_us) * LEASE_SECONDS,
        demand.largest_call,
        demand.outage_float(now_us),
    )


def _open_lease(want: Want, *, limit: LimitTerms, counter: Counter) -> Lease | None:
    now_us = counter.book.clock.now_us()
    for lease in counter.book.leases_of(want.customer_id):
        if (
            lease.limit_key == want.limit_key
            and lease.lease_id != OFFLINE_LEASE_ID
            and lease.window_id == limit.window_id
            and not lease.is_closed
            and (lease.is_usable(now_us) or lease.granted == 0)
        ):
            return lease
    return None


def _find(customer_id: str, limit_key: str, lease_id: bytes, counter: Counter) -> Lease | None:
    for lease in counter.book.leases_of(customer_id):
        if (lease.limit_key, lease.lease_id) == (limit_key, lease_id):
            return lease
    return None
