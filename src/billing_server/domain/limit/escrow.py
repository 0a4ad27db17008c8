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
    """What actual use of one window can come to at most, from where it stands.

    Use that was counted is in S, whatever let it pass: it is not added a second time. Only a grant
    raises `taken + unknown`, and not past B + U_max; beside it there are only allowances that are
    not used yet, and leases that an operator released.
    """

    escrow: Escrow
    """As it stands."""
    maximum: int
    """B, the limit in force."""
    unknown_max: int = 0
    """U_max."""
    allowance_left: int = 0
    """What offline allowances of all agents may still bear. >= 0."""
    released: int = 0
    """What may still be used of leases that an operator released. >= 0."""
    burst: int = 0
    """Of a rate: what a minute may see beyond it. >= 0."""

    @property
    def total(self) -> int:
        """The bound."""
        escrowed = max(self.maximum + self.unknown_max, self.escrow.taken + self.escrow.unknown)
        return escrowed + self.allowance_left + self.released + self.burst
