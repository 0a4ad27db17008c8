"""Shares of a rate: each agent has a token bucket of its own, and together they are the limit's.

The shares of all agents sum to at most the rate and the burst, counting a share until its agent
has given it back or its time is over. What no agent holds is a bucket as well, kept by the server:
a new share's bucket starts with what is in that one. So the buckets together never hold more than
one burst nor fill faster than the rate, and any span sees at most its rate and one burst.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.limit.lease import Lease
from billing_server.domain.limit.sizes import Demander

SHARE_TTL: Final = timedelta(seconds=60)
"""How long leases with a time to live may be used, from the moment their request was sent."""
SAFE_SHARE: Final = 4
"""One in so many of a rate is kept for agents that come later, while fewer than all want some."""
_MICROSECONDS_PER_MINUTE: Final = 60_000_000
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RateShare:
    """A share of a rate."""

    rate_per_minute: int
    """In the limit's smallest unit a minute. >= 0."""
    burst: int
    """Size of its bucket. >= 0."""


def server_expiry(ttl: timedelta = SHARE_TTL) -> timedelta:
    """Returns after how long the server takes a lease for over: 0.1 % and 2 s after its agent.

    The agent counts from when it sent the request, the server from when it answered it; the rest
    covers clocks that run apart.
    """
    return ttl + ttl // 1000 + timedelta(seconds=2)


def free_share(maximum: RateShare, *, leases: Iterable[Lease]) -> RateShare:
    """Returns what of a rate nobody holds.

    Args:
        maximum: The limit.
        leases: Shares that may still be used.
    """
    held = list(leases)
    return RateShare(
        max(0, maximum.rate_per_minute - sum(lease.rate_per_minute for lease in held)),
        max(0, maximum.burst - sum(lease.burst for lease in held)),
    )


def wanted_share(
    maximum: RateShare, *, asker: Demander, demanders: Sequence[Demander]
) -> RateShare:
    """Returns the share that an agent should have: in proportion to its demand.

    One that is alone gets all but a safe share. The burst follows the rate, and holds at least one
    of the agent's largest calls where the limit itself does.

    Args:
        maximum: The limit.
        asker: The agent.
        demanders: All agents that want some, the asker too.
    """
    total = sum(max(each.demand_per_second, 1) for each in demanders) or 1
    part = max(asker.demand_per_second, 1)
    rate, burst = maximum.rate_per_minute, maximum.burst
    if len(demanders) <= 1:
        return RateShare(rate - rate // SAFE_SHARE, max(burst - burst // SAFE_SHARE, _call(asker)))
    return RateShare(rate * part // total, min(burst, max(burst * part // total, _call(asker))))


def granted_share(wanted: RateShare, *, free: RateShare) -> RateShare:
    """Returns what of a wanted share can be given; without a rate or a burst it is none."""
    rate = min(wanted.rate_per_minute, free.rate_per_minute)
    burst = min(wanted.burst, free.burst)
    return RateShare(rate, burst) if rate and burst else RateShare(0, 0)


@dataclass(frozen=True, slots=True)
class FreeBucket:
    """The bucket of what no agent holds, as it was when the shares last changed."""

    tokens: int
    """What was in it. >= 0."""
    size: RateShare
    """How fast it fills since and how much it holds: never more than what is free."""
    time: datetime
    """When that was, UTC."""

    def tokens_at(self, now: datetime) -> int:
        """Returns what is in it by now, whole units."""
        passed = max((now - self.time) // _MICROSECOND, 0)
        gathered = self.size.rate_per_minute * passed // _MICROSECONDS_PER_MINUTE
        return min(self.tokens + gathered, self.size.burst)


def refilled(bucket: FreeBucket | None, *, free: RateShare, now: datetime) -> FreeBucket:
    """Returns the bucket from now on, when other shares are free than before.

    Args:
        bucket: As it was; None: it is not known, and taken for empty.
        free: What nobody holds now.
        now: The time.
    """
    tokens = 0 if bucket is None else bucket.tokens_at(now)
    return FreeBucket(min(tokens, free.burst), free, now)


def poured(bucket: FreeBucket, *, share: RateShare) -> tuple[FreeBucket, int]:
    """Returns the bucket after a share was granted now, and what the share's starts with."""
    tokens = min(bucket.tokens, share.burst)
    left = RateShare(
        max(bucket.size.rate_per_minute - share.rate_per_minute, 0),
        max(bucket.size.burst - share.burst, 0),
    )
    return FreeBucket(bucket.tokens - tokens, left, bucket.time), tokens


def _call(asker: Demander) -> int:
    return asker.largest_call
