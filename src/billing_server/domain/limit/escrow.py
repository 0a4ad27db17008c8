"""The escrow of one window of a limit: why a limit holds with any number of agents.

Of a budget B, S is settled (known use), `out` is what live leases may still use, P what leases of
lost agents are presumed to have used, U what reclaimed leases may have used. Only a grant raises
S + P + out + U, and only within the budget; everything else moves an amount from one term to
another. Time occurs nowhere: late, doubled or lost messages change nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from billing_server.domain.limit.lease import Lease, LeaseState


@dataclass(frozen=True, slots=True)
class Escrow:
    """The terms of one window, in the limit's smallest unit."""

    settled: int
    """S: known use. >= 0 but for money given back."""
    out: int = 0
    """What live leases may still use. >= 0."""
    unknown: int = 0
    """U: what reclaimed leases may have used. >= 0."""
    presumed: int = 0
    """P: what leases of lost agents are presumed to have used. >= 0."""

    @property
    def taken(self) -> int:
        """S + P + out: what nobody else can be granted."""
        return self.settled + self.presumed + self.out

    def left(self, *, maximum: int, unknown_max: int = 0) -> int:
        """Returns what may be granted now, >= 0.

        Args:
            maximum: B, the limit in force.
            unknown_max: U_max, `reclaim_max` of the limit; 0 where silence holds its leases.
        """
        within_limit = maximum - self.taken
        within_bound = maximum + unknown_max - self.taken - self.unknown
        return max(0, min(within_limit, within_bound))


def escrow_of(settled: int, *, leases: Iterable[Lease]) -> Escrow:
    """Returns the escrow of a window from its leases, closed ones left out.

    Args:
        settled: S of the window.
        leases: All of the window that are not closed.
    """
    rests = dict.fromkeys(LeaseState, 0)
    for lease in leases:
        rests[lease.state] += lease.rest
    return Escrow(
        settled=settled,
        out=rests[LeaseState.LIVE],
        unknown=rests[LeaseState.RECLAIMED],
        presumed=rests[LeaseState.WRITTEN_OFF],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What actual use of one window can come to at most: A <= B + U_max + δ + F + V + W."""

    maximum: int
    """B: the largest limit in force at any grant."""
    unknown_max: int = 0
    """U_max."""
    overrun: int = 0
    """δ: use beyond what was reserved, and for money what was rated beyond its estimate."""
    offline_allowance: int = 0
    """F: allowances of all agents."""
    unreserved: int = 0
    """V: usage recorded without a reservation that no lease could bear."""
    released: int = 0
    """W: written-off leases that an operator released."""

    @property
    def total(self) -> int:
        """The bound."""
        return (
            self.maximum
            + self.unknown_max
            + self.overrun
            + self.offline_allowance
            + self.unreserved
            + self.released
        )
