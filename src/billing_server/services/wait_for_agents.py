"""Holding a period back until the agents that carried its usage have caught up (R75)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from billing_server.domain.ports.agents import Lag
from billing_server.domain.ports.customers import DueKey, SubscriptionPeriod
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext
from metering.clock import format_instant

HEARD_WITHIN: Final = timedelta(hours=24)
"""An agent that was silent for longer is not waited for."""
GRACE_MAX: Final = timedelta(hours=72)
"""Longest time after a period's end that its invoice waits for agents."""
LISTED_MAX: Final = 20
"""Agents that a notice names."""

log = structlog.get_logger(__name__)


def closable_periods(
    unit: UnitOfWork, *, context: ServiceContext, after: DueKey | None, limit: int
) -> Sequence[SubscriptionPeriod]:
    """Return due periods for which no agent may still hold usage, or that have waited long enough.

    Args:
        unit: reads.
        context: the world.
        after: periods up to this key are passed over.
        limit: entries read at a time, >= 1.

    Returns:
        Up to `limit` periods in the order in which they fell due; none where no more is due.
    """
    ended_until = context.clock.now() - context.settings.grace
    while found := unit.billing_periods.due(ended_until=ended_until, after=after, limit=limit):
        held_back = _held_back(unit, periods=found, context=context)
        ready = [
            each
            for each in found
            if each not in held_back or _is_wait_over(unit, period=each, context=context)
        ]
        if ready:
            return ready
        after = DueKey(found[-1].period.end, found[-1].subscription_id)
    return ()


def latest_close_time(unit: UnitOfWork, *, after: datetime) -> datetime | None:
    """Return the earliest instant after `after` at which a period stops waiting for agents."""
    end = unit.billing_periods.next_end(after=after - GRACE_MAX)
    return None if end is None else end + GRACE_MAX


def _held_back(
    unit: UnitOfWork, *, periods: Sequence[SubscriptionPeriod], context: ServiceContext
) -> frozenset[SubscriptionPeriod]:
    """Return those of the periods of which an agent may still hold usage.

    It is asked every second, and of all customers where their periods end together: once for each
    end, and not for each customer.
    """
    by_end: dict[datetime, list[SubscriptionPeriod]] = defaultdict(list)
    for each in periods:
        by_end[each.period.end].append(each)
    found: set[SubscriptionPeriod] = set()
    for end, members in by_end.items():
        customers = unit.agents.customers_held_back(
            {each.customer_id for each in members}, lag=_lag(end, context=context)
        )
        found |= {each for each in members if each.customer_id in customers}
    return frozenset(found)


def _lag(end: datetime, *, context: ServiceContext) -> Lag:
    return Lag(
        event_time_before=end,
        seen_since=context.clock.now() - HEARD_WITHIN,
        # A test clock jumps over the end: nobody can be heard after it before it has closed.
        reported_since=end if context.test_clock is None else None,
    )


def _is_wait_over(unit: UnitOfWork, *, period: SubscriptionPeriod, context: ServiceContext) -> bool:
    end = period.period.end
    is_over = context.clock.now() >= end + max(GRACE_MAX, context.settings.grace)
    if is_over:
        lagging = unit.agents.lagging(period.customer_id, lag=_lag(end, context=context))
        log.warning(
            "period_closed_without_agents",
            subscription_id=period.subscription_id,
            period_end=format_instant(end),
            agents=lagging[:LISTED_MAX],
            agent_count=len(lagging),
            remedy="usage that these agents still hold is billed as late usage once it arrives",
        )
    return is_over
