"""How much to grant to whom, and what to recall: fair, quick to move, and never the last of it.

All arithmetic is on integers in the limit's smallest unit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.limit.lease import Lease

DEMAND_SECONDS: Final = 15
"""Demand that a standing lease covers: 15 s of it."""
TAIL_CALLS: Final = 2
"""Below this many of the largest call for each agent that wants some, no leases stand: each call
is asked for exactly, so that the last of a limit is not idle where it is not wanted."""
FLOAT_CALLS: Final = 4
"""What a cold customer's first lease holds beyond the call that asked, in calls of its size."""
FLOAT_SHARE: Final = 16
"""And at most one in so many of what is left."""
HOLDS_KNOWN_FOR: Final = timedelta(seconds=1)
"""So long it counts what an agent told of its holds; calls end within seconds."""
OUTAGE_FLOAT_SHARE: Final = 5
"""An outage float is kept while more than one in so many of the limit is left: 20 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demander:
    """An agent that wants some of a limit."""

    agent_ref: int
    """Who."""
    demand_per_second: int
    """Refused demand included. >= 0."""
    largest_call: int = 0
    """Of late. >= 0."""
    outage_float: int = 0
    """What to keep for an outage. >= 0."""
    free: int = 0
    """What its live leases of the window have free, as it last told. >= 0."""


def lease_sizes(left: int, *, maximum: int, demanders: Sequence[Demander]) -> Mapping[int, int]:
    """Returns what to grant to the agents that want some of a window.

    An agent is to have `min(15 s of its demand, half of what is left in proportion to its
    demand)` free, at least one of its largest calls; it is granted what it lacks of that once it
    has used half of it. A round hands out at most half of what is left.

    Example: 1000 left of 1000 and two agents that ask for 100 and 300 a second get
    min(1500, ½ · 1000 · ¼) = 125 and min(4500, ½ · 1000 · ¾) = 375.

    Args:
        left: What may be granted now, >= 0.
        maximum: The limit, >= 0.
        demanders: Who wants some, each agent once.

    Returns:
        Agent to what it is granted, > 0; agents that get nothing are left out, and in the tail
        all do: each call is asked for exactly.
    """
    active = [each for each in demanders if each.demand_per_second or each.outage_float]
    if is_tail(left, demanders=active):
        return {}
    total_demand = sum(each.demand_per_second for each in active)
    pool = left // 2
    grants: dict[int, int] = {}
    for each in sorted(active, key=lambda each: (-each.demand_per_second, each.agent_ref)):
        target = _target(
            each, left=left, maximum=maximum, total_demand=total_demand, count=len(active)
        )
        if each.free * 2 > target:
            continue
        amount = min(target - each.free, pool)
        if amount > 0:
            grants[each.agent_ref] = amount
            pool -= amount
    return grants


def is_tail(left: int, *, demanders: Iterable[Demander]) -> bool:
    """Tells whether so little is left that no lease should stand."""
    return left <= TAIL_CALLS * sum(max(each.largest_call, 1) for each in demanders)


def acquired(*, wanted: int, least: int, left: int, demanders: Sequence[Demander]) -> int:
    """Returns what an agent that asks at once is granted, 0 where less than the least is left.

    Args:
        wanted: What it lacks for its call, >= 1.
        least: Less is of no use to it, 0..wanted.
        left: What may be granted now, >= 0.
        demanders: Who else wants some; decides whether this is the limit's tail.
    """
    if left < max(least, 1):
        return 0
    if left <= wanted or is_tail(left - wanted, demanders=demanders):
        return min(wanted, left)
    return wanted + min(wanted * FLOAT_CALLS, (left - wanted) // FLOAT_SHARE)


def to_recall(
    leases: Iterable[Lease],
    *,
    missing: int,
    asker_ref: int,
    now: datetime,
    in_vain: Collection[bytes] = frozenset(),
) -> tuple[Lease, ...]:
    """Returns idle leases of other agents to recall before somebody is refused.

    The idlest first, until what is missing is found; then those of which it is not known any more
    what they have free, since calls may have ended. A recall that waits already counts, unless it
    was waited for in vain: an agent that is cut off must not keep those that are not from being
    asked.

    Args:
        leases: Live leases of the window.
        missing: What the limit lacks for the call, >= 1.
        asker_ref: The agent that asks; its own leases stay.
        now: The time.
        in_vain: Ids of leases whose recall is not answered although it was time.
    """
    found = []
    others = [
        lease
        for lease in leases
        if lease.agent_ref != asker_ref and (lease.free or _may_be_free(lease, now=now))
    ]
    for lease in sorted(others, key=lambda lease: (-lease.free, lease.lease_id)):
        if missing <= 0:
            break
        if not lease.is_recalled:
            found.append(lease)
        elif lease.lease_id in in_vain:
            continue
        missing -= lease.free
    return tuple(found)


def _may_be_free(lease: Lease, *, now: datetime) -> bool:
    """Tells whether what the agent told of a lease's holds is too old to be relied on."""
    told_at = lease.report_time or lease.create_time
    return lease.rest > 0 and now - told_at >= HOLDS_KNOWN_FOR


def excess(taken: int, *, maximum: int) -> int:
    """Returns what a lowered limit has out beyond what it may: recalled at once. >= 0."""
    return max(0, taken - maximum)


def _target(each: Demander, *, left: int, maximum: int, total_demand: int, count: int) -> int:
    """Returns what an agent should have free."""
    share = left * each.demand_per_second // (2 * total_demand) if total_demand else 0
    target = max(min(each.demand_per_second * DEMAND_SECONDS, share), each.largest_call)
    if left * OUTAGE_FLOAT_SHARE > maximum:
        target = max(target, min(each.outage_float, left // (2 * count)))
    return target
