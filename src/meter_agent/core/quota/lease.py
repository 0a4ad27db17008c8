"""A lease as the agent keeps it: counters that only rise, and what is free to spend.

The invariant that carries the whole bound: `consumed + held <= granted - returned` on every lease,
changed only in a local transaction. Each function here takes a lease and returns the lease after
one such change, or refuses to make it.

The clock of leases (`now_us`) is the machine's time since boot, sleep included, in microseconds: no
one sets it. A lease is timed from the moment at which the request was sent that the server
answered, so the agent stops before the server frees it.
"""

from dataclasses import dataclass, replace
from typing import Final

from metering.errors import InvariantError

NEVER: Final = None
"""A time that does not come."""
US_PER_MINUTE: Final = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A share of one window of one limit of one customer. Amounts in the limit's smallest unit."""

    lease_id: bytes
    """16 bytes; empty: an allowance of this agent's own, which no event names."""
    customer_id: str
    """Whose limit."""
    limit_key: str
    """Which limit."""
    window_id: str = ""
    """Which window of it; usage belongs to the window of its lease."""
    granted: int = 0
    """In all, as the server said. Only rises."""
    returned: int = 0
    """In all, written here before it is sent. Only rises."""
    consumed: int = 0
    """In all, by events on this disk. Only rises."""
    held: int = 0
    """By reservations now. 0..granted - returned - consumed."""
    recall_no: int = 0
    """Number of the latest recall that was answered by a return; 0: none."""
    usable_from_us: int = 0
    """Clock of leases; earlier it is of a window that has not begun."""
    usable_until_us: int | None = NEVER
    """Clock of leases; from then on nothing new is taken. None: until recalled; 0: not before the
    server has confirmed it in a session of this process."""
    rate_per_minute: int = 0
    """Share of a rate; 0 for other kinds, and once it was given back."""
    burst: int = 0
    """Share of a rate's burst: the bucket's size; 0 for other kinds."""
    tokens_us: int = 0
    """What is in the bucket of a rate at `filled_at_us`, in units × microseconds of a minute, so
    that refilling never rounds."""
    filled_at_us: int = 0
    """Clock of leases."""
    carried: int = 0
    """Of an allowance: what calls of the window before held when it began, which is in `granted`
    and no part of the allowance. 0 for leases of the server."""
    is_closed: bool = False
    """Whether it will never be granted more. Its row stays until its events are safe."""
    is_given_up: bool = False
    """Whether another copy of the disk may spend it: closed, and nothing of it ever goes back."""

    def __post_init__(self) -> None:
        if min(self.granted, self.returned, self.consumed, self.held) < 0 or self.free < 0:
            raise InvariantError(
                reason="LEASE_OVERSPENT",
                message=f"lease {self.lease_id.hex()} of limit {self.limit_key}: consumed "
                f"{self.consumed} + held {self.held} passes granted {self.granted} - returned "
                f"{self.returned}",
            )

    @property
    def free(self) -> int:
        """What is neither consumed nor held nor returned."""
        return self.granted - self.returned - self.consumed - self.held

    @property
    def is_share(self) -> bool:
        """Whether it is a share of a rate, which refills, rather than an amount, which does not.

        One that was given back keeps its burst and has no rate: its bucket stays empty.
        """
        return self.burst > 0

    def is_usable(self, now_us: int) -> bool:
        """Tells whether something new may be taken from it now."""
        if now_us < self.usable_from_us:
            return False
        return self.usable_until_us is None or now_us < self.usable_until_us


def available(lease: Lease, *, now_us: int) -> int:
    """Returns what may be taken from the lease now, >= 0."""
    if not lease.is_usable(now_us):
        return 0
    if lease.is_share:
        return refilled(lease, now_us=now_us).tokens_us // US_PER_MINUTE
    return lease.free


def hold(lease: Lease, *, amount: int, now_us: int) -> Lease:
    """Returns the lease after a reservation took an amount (>= 0) that was available."""
    if amount > available(lease, now_us=now_us):
        raise _overspent(lease, amount=amount)
    if lease.is_share:
        filled = refilled(lease, now_us=now_us)
        return replace(filled, tokens_us=filled.tokens_us - amount * US_PER_MINUTE)
    return replace(lease, held=lease.held + amount)


def unhold(lease: Lease, *, amount: int, held_for_us: int, now_us: int) -> Lease:
    """Returns the lease after an amount that a reservation held, and did not use, came back.

    Of a share, what has meanwhile been refilled is taken off: so any span still sees at most its
    rate and one burst, counted at the time of the reservations.

    Args:
        lease: The lease.
        amount: What comes back, 0..what was held.
        held_for_us: How long it was held, microseconds, >= 0.
        now_us: Clock of leases.
    """
    if now_us - held_for_us < lease.usable_from_us:
        # An allowance that began anew meanwhile: what was held of the one before is no part of it.
        return replace(lease, held=lease.held - amount, returned=lease.returned + amount)
    if not lease.is_share:
        return replace(lease, held=lease.held - amount)
    if not lease.rate_per_minute:
        return lease
    filled = refilled(lease, now_us=now_us)
    back_us = max(amount * US_PER_MINUTE - lease.rate_per_minute * held_for_us, 0)
    return replace(filled, tokens_us=min(filled.tokens_us + back_us, lease.burst * US_PER_MINUTE))


def consume_held(lease: Lease, *, held: int, used: int) -> Lease:
    """Returns the lease after a hold was replaced by what was used of it (0..held)."""
    if lease.is_share:
        return lease
    if used > held:
        raise _overspent(lease, amount=used)
    return replace(lease, held=lease.held - held, consumed=lease.consumed + used)


def consume(lease: Lease, *, amount: int, now_us: int) -> Lease:
    """Returns the lease after usage without a reservation took an amount that was available."""
    taken = hold(lease, amount=amount, now_us=now_us)
    return consume_held(taken, held=amount, used=amount)


def returned_rest(lease: Lease, *, keep: int = 0) -> Lease:
    """Returns the lease after what is neither consumed nor held went back, but for `keep` of it."""
    if lease.is_share:
        return lease
    return replace(lease, returned=lease.returned + max(lease.free - keep, 0))


def recalled(lease: Lease, *, recall_no: int) -> Lease:
    """Returns the lease after it answered a recall: all that is free went back.

    A recall that was answered before changes nothing: what was granted since is not its own.
    """
    if recall_no <= lease.recall_no:
        return lease
    if lease.is_share:
        return replace(lease, recall_no=recall_no, rate_per_minute=0, tokens_us=0)
    return replace(returned_rest(lease), recall_no=recall_no)


def expired(lease: Lease) -> Lease:
    """Returns the lease after its window ended or its time ran out: it takes nothing new.

    What is free goes back, unless it was given up; what is held stays until its reservation ends.
    """
    if lease.is_given_up:
        return lease
    if lease.is_share:
        return replace(lease, is_closed=True, rate_per_minute=0, tokens_us=0)
    return replace(returned_rest(lease), is_closed=True)


def refilled(lease: Lease, *, now_us: int) -> Lease:
    """Returns a share of a rate with what has flowed into its bucket since it was looked at.

    A bucket fills only while the share may be used.
    """
    until = now_us if lease.usable_until_us is None else min(now_us, lease.usable_until_us)
    since = max(lease.filled_at_us, lease.usable_from_us)
    if until <= since:
        return lease
    tokens_us = lease.tokens_us + lease.rate_per_minute * (until - since)
    return replace(lease, tokens_us=min(tokens_us, lease.burst * US_PER_MINUTE), filled_at_us=until)


def refilled_after_us(lease: Lease, *, amount: int, now_us: int) -> int | None:
    """Returns how long until the bucket of a share holds an amount; None: never by itself.

    Args:
        lease: A share of a rate.
        amount: In the limit's smallest unit, >= 0.
        now_us: Clock of leases.
    """
    if amount > lease.burst or not lease.rate_per_minute:
        return None
    missing_us = amount * US_PER_MINUTE - refilled(lease, now_us=now_us).tokens_us
    return max(-(-missing_us // lease.rate_per_minute), 0)


def reloaded(lease: Lease) -> Lease:
    """Returns the lease as a new process of the agent finds it: spendable once confirmed.

    A bucket has the whole units that it had when the row was written: what has flowed into it
    since is left out, for nobody knows for how long it did. An allowance is the agent's own:
    nobody confirms it.
    """
    if not lease.lease_id:
        return lease
    tokens_us = lease.tokens_us - lease.tokens_us % US_PER_MINUTE
    return replace(lease, usable_until_us=0, tokens_us=tokens_us, filled_at_us=0)


def _overspent(lease: Lease, *, amount: int) -> InvariantError:
    return InvariantError(
        reason="LEASE_OVERSPENT",
        message=f"{amount} was to be taken from lease {lease.lease_id.hex()} of limit "
        f"{lease.limit_key}, which has {lease.free} free",
    )
