"""Granting: standing leases by demand, exact ones on request, shares of rates; and recalls."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from billing_server.domain.limit.lease import Lease, LeaseState
from billing_server.domain.limit.shares import (
    RateShare,
    free_share,
    granted_share,
    wanted_share,
)
from billing_server.domain.limit.sizes import Demander, acquired, excess, lease_sizes, to_recall
from billing_server.services.lease_windows import OpenWindow
from metering.limits import LimitKind

LEASE_ID_BYTES = 16
NOBODY = -1
"""No agent: a recall on behalf of nobody spares nobody."""


@dataclass(frozen=True, slots=True)
class Granter:
    """Grants from windows that are held, to one disk."""

    agent_ref: int
    """The disk that asks."""
    now: datetime
    """The time."""
    random_bytes: Callable[[int], bytes]
    """Makes ids of leases that the server grants unasked."""

    def grant_standing(self, window: OpenWindow) -> None:
        """Grants what the agent lacks of what it should have standing by."""
        me = window.demander(self.agent_ref)
        if me is None:
            return
        if window.limit.kind is LimitKind.RATE:
            self._grant_share(window, me=me, lease=None)
            return
        sizes = lease_sizes(window.left, maximum=window.maximum, demanders=list(window.demanders))
        amount = min(sizes.get(self.agent_ref, 0), window.left)
        if amount > 0:
            window.grant(self._own_lease(window), amount=amount, now=self.now)

    def acquire(self, window: OpenWindow, *, lease: Lease, target: int, least: int) -> Lease:
        """Grants what a lease should become in all, or at least its least; else nothing.

        Args:
            window: of the lease.
            lease: as it is, or new.
            target: what `granted` should become.
            least: less than that in all is refused.
        """
        if lease.granted >= target or lease.state is not LeaseState.LIVE or lease.is_recalled:
            return lease
        wanted, least_more = target - lease.granted, max(least - lease.granted, 0)
        if window.limit.kind is LimitKind.RATE:
            me = window.demander(self.agent_ref) or Demander(
                agent_ref=self.agent_ref, demand_per_second=1
            )
            me = replace(me, largest_call=max(me.largest_call, least_more))
            return self._grant_share(window, me=me, lease=lease) or lease
        others = [each for each in window.demanders if each.agent_ref != self.agent_ref]
        amount = acquired(wanted=wanted, least=least_more, left=window.left, demanders=others)
        return window.grant(lease, amount=amount, now=self.now) if amount else lease

    def recall_for(
        self, window: OpenWindow, *, missing: int, in_vain: Collection[bytes] = frozenset()
    ) -> list[Lease]:
        """Recalls idle leases of others before the agent is refused; returns those to wait for.

        A lease of its own that others have had recalled is among them: until that is answered,
        nothing is granted to it.

        Args:
            window: where something is missing.
            missing: how much, >= 1.
            in_vain: leases whose recall was waited for, and not answered.
        """
        if window.limit.kind is LimitKind.RATE:
            return _recall_shares(window, asker_ref=self.agent_ref)
        window.recall(
            to_recall(
                window.live,
                missing=missing,
                asker_ref=self.agent_ref,
                now=self.now,
                in_vain=in_vain,
            )
        )
        return [
            lease
            for lease in window.live
            if lease.is_recalled and (lease.rest or lease.agent_ref == self.agent_ref)
        ]

    def new_lease(self, window: OpenWindow, *, lease_id: bytes | None = None) -> Lease:
        """Returns a lease with nothing in it yet."""
        return Lease(
            lease_id=lease_id or self.random_bytes(LEASE_ID_BYTES),
            key=window.window.key,
            agent_ref=self.agent_ref,
            report_time=self.now,
            create_time=self.now,
        )

    def _own_lease(self, window: OpenWindow) -> Lease:
        return window.of_agent(self.agent_ref) or self.new_lease(window)

    def _grant_share(
        self, window: OpenWindow, *, me: Demander, lease: Lease | None
    ) -> Lease | None:
        """Grants a share of a rate to an agent that has none; None: there is nothing to give.

        A share that turns out too large is recalled and granted anew: until its agent has given
        it back it counts whole.
        """
        own = window.of_agent(self.agent_ref)
        demanders = [me, *(each for each in window.demanders if each.agent_ref != me.agent_ref)]
        wanted = wanted_share(window.rate, asker=me, demanders=demanders)
        if own is not None:
            if len(demanders) > 1 and own.rate_per_minute > 2 * max(wanted.rate_per_minute, 1):
                window.recall([own])
            return None
        share = granted_share(wanted, free=window.free_rate)
        if share == RateShare(0, 0) or share.burst < me.largest_call:
            _recall_shares(window, asker_ref=self.agent_ref)
            return None
        return window.grant_share(lease or self.new_lease(window), share=share, now=self.now)


def recall_excess(window: OpenWindow, *, now: datetime) -> None:
    """Recalls what a lowered limit has out beyond what it may.

    Args:
        window: of the limit.
        now: the time.
    """
    if window.limit.kind is LimitKind.RATE:
        held = free_share(window.rate, leases=[])
        total = sum(lease.burst for lease in window.live)
        rate = sum(lease.rate_per_minute for lease in window.live)
        if total > held.burst or rate > held.rate_per_minute:
            window.recall(lease for lease in window.live if not lease.is_recalled)
        return
    too_much = excess(window.escrow.taken, maximum=window.maximum)
    if too_much:
        window.recall(to_recall(window.live, missing=too_much, asker_ref=NOBODY, now=now))


def exceeded_by(agent_ref: int, *, windows: Iterable[OpenWindow]) -> frozenset[str]:
    """Returns the customers of whose lowered limits an agent holds something that may come free.

    Args:
        agent_ref: the agent.
        windows: as a round leaves them.
    """
    return frozenset(
        window.limit.customer_id
        for window in windows
        if window.limit.kind is not LimitKind.RATE
        and excess(window.escrow.taken, maximum=window.maximum)
        and any(lease.agent_ref == agent_ref and lease.rest for lease in window.live)
    )


def customers_of_others(windows: Iterable[OpenWindow], *, agent_ref: int) -> set[str]:
    """Returns the customers of whom leases of other agents were changed: those are to be woken.

    Args:
        windows: as a round leaves them.
        agent_ref: whose round it is.
    """
    return {
        window.limit.customer_id
        for window in windows
        if any(window.leases[each].agent_ref != agent_ref for each in window.changed)
    }


def customers_granted_money(windows: Iterable[OpenWindow], *, agent_ref: int) -> set[str]:
    """Returns the customers of whose limits on money an agent was granted some.

    Args:
        windows: as a round leaves them.
        agent_ref: the agent.
    """
    return {
        window.limit.customer_id
        for window in windows
        if window.limit.kind is LimitKind.MONEY
        and any(window.leases[each].agent_ref == agent_ref for each in window.changed)
    }


def _recall_shares(window: OpenWindow, *, asker_ref: int) -> list[Lease]:
    """Recalls the largest share of another agent; returns those that are to be given back."""
    others = [lease for lease in window.live if lease.agent_ref != asker_ref and lease.burst]
    if others and not any(lease.is_recalled for lease in others):
        largest = max(others, key=lambda lease: (lease.rate_per_minute, lease.lease_id))
        window.recall([largest])
    refs = {lease.lease_id for lease in others}
    return [lease for lease in window.live if lease.is_recalled and lease.lease_id in refs]
