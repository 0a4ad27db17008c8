"""Which limits hold for a customer: its own first, then those of its plans (all must pass)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.catalog.model import Meter, Plan
from billing_server.domain.limit.spans import LimitSpan, span_at
from billing_server.domain.subscription.model import Customer
from billing_server.domain.subscription.timeline import Timeline
from metering.limits import MONEY_DECIMALS, LimitKind

LIMITED_UNITS_MAX = 2**62
"""Sums inside a limit stop here: they fit 64 bits, and no limit is as large."""


class LimitSource(StrEnum):
    """Where a limit comes from."""

    CUSTOMER = "customer"
    PLAN = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitInForce:
    """A limit as it holds for one customer."""

    customer_id: str
    """Whose."""
    limit: Limit
    """As the plan or the customer carries it."""
    source: LimitSource
    """Which of the two."""
    meter: Meter | None
    """What is counted; None where that is no meter."""
    timeline: Timeline | None
    """The subscription whose billing periods are its windows; None: no subscription runs."""
    timezone: str
    """The customer's billing zone."""
    currency: str
    """ISO 4217 code; empty where the customer has none yet."""

    @property
    def key(self) -> str:
        """Unique among the limits of the customer."""
        return self.limit.key

    @property
    def kind(self) -> LimitKind:
        """How it is escrowed."""
        if self.limit.is_money:
            return LimitKind.MONEY
        if self.limit.subject is LimitSubject.CONCURRENCY:
            return LimitKind.CONCURRENCY
        if self.limit.window.unit is WindowUnit.MINUTE:
            return LimitKind.RATE
        is_rolling = self.limit.window.unit is WindowUnit.ROLLING
        return LimitKind.ROLLING if is_rolling else LimitKind.UNITS

    @property
    def is_balance(self) -> bool:
        """Whether its maximum is the customer's prepaid balance."""
        return self.limit.subject is LimitSubject.BALANCE

    @property
    def decimals(self) -> int:
        """Fraction digits of its amounts: the meter's, 6 for money, 0 for slots."""
        if self.limit.is_money:
            return MONEY_DECIMALS
        return 0 if self.meter is None else self.meter.decimals

    def scaled(self, value: Decimal) -> int:
        """Returns an amount in the limit's smallest unit, cut down to a whole number of it."""
        return min(int(value.scaleb(self.decimals)), LIMITED_UNITS_MAX)

    @property
    def maximum(self) -> int:
        """The most of one window, in the smallest unit; 0 for a balance, kept apart."""
        return self.scaled(self.limit.maximum)

    def span_at(self, at: datetime) -> LimitSpan:
        """Returns the window that holds an instant."""
        period = None if self.timeline is None else self.timeline.period_at(at)
        return span_at(self.limit, at=at, timezone=self.timezone, billing_period=period)

    def counts(self, meter_key: str, *, dimensions: Mapping[str, str]) -> bool:
        """Tells whether usage of a meter with these dimensions is usage of this limit."""
        return meter_key == self.limit.meter and all(
            dimensions.get(name) == value for name, value in self.limit.where.items()
        )


@dataclass(frozen=True, slots=True)
class CustomerLimits:
    """All limits of a customer, and until when they are these."""

    customer_id: str
    """Whose."""
    limits: tuple[LimitInForce, ...]
    """In the order of their keys."""
    valid_until: datetime | None
    """When a subscription starts, ends or changes next, or a version comes on offer, UTC; None:
    nothing is known to come."""

    def get(self, key: str) -> LimitInForce | None:
        """Returns one limit."""
        return next((limit for limit in self.limits if limit.key == key), None)


def limits_in_force(
    customer: Customer,
    *,
    timelines: Iterable[Timeline],
    versions: Mapping[str, Sequence[Plan]],
    meters: Mapping[str, Meter],
    at: datetime,
) -> CustomerLimits:
    """Returns the limits that hold for a customer at an instant.

    The customer's own limit stands in place of a plan's of the same key. Of several subscriptions
    that bring one key, the one that started first counts, as for prices.

    Args:
        customer: whose.
        timelines: of its subscriptions.
        versions: by plan key, every version of the plans of these subscriptions, oldest first.
        meters: every meter by key.
        at: an instant, UTC.
    """
    ordered = sorted(timelines, key=lambda each: (each.subscription.start, each.subscription.id))
    active = [timeline for timeline in ordered if timeline.is_active_at(at)]
    first = active[0] if active else None
    found: dict[str, tuple[Limit, LimitSource, Timeline | None]] = {
        limit.key: (limit, LimitSource.CUSTOMER, first) for limit in customer.limits or ()
    }
    for timeline in active:
        version = timeline.subscription.version_at(at)
        of_plan = versions[timeline.plan.key]
        later = [each for each in of_plan if each.effective_from and each.effective_from <= at]
        plan = next(each for each in of_plan if each.version == version)
        for limit in plan_limits(plan, later=later):
            found.setdefault(limit.key, (limit, LimitSource.PLAN, timeline))
    limits = [
        LimitInForce(
            customer_id=customer.id,
            limit=limit,
            source=source,
            meter=meters.get(limit.meter),
            timeline=timeline,
            timezone=customer.timezone,
            currency=customer.currency or "",
        )
        for limit, source, timeline in found.values()
        if limit.subject is not LimitSubject.METER or limit.meter in meters
    ]
    return CustomerLimits(
        customer.id,
        tuple(sorted(limits, key=lambda limit: limit.key)),
        _next_border(ordered, versions=versions, at=at),
    )


def plan_limits(plan: Plan, *, later: Sequence[Plan]) -> tuple[Limit, ...]:
    """Returns the limits of a plan version that a subscription is on.

    A version keeps its prices for good (R37). Limits are no prices: where later versions change
    nothing else, the last of them holds, so that a limit is raised or lowered for everyone at once.
    """
    limits = plan.limits
    for version in later:
        if version.version <= plan.version:
            continue
        if _without_limits(version) != _without_limits(plan):
            break
        limits = version.limits
    return limits


def _without_limits(plan: Plan) -> Plan:
    return replace(plan, version=0, effective_from=None, limits=())


def _next_border(
    timelines: Iterable[Timeline], *, versions: Mapping[str, Sequence[Plan]], at: datetime
) -> datetime | None:
    """Returns when limits, or the prices that money is estimated by, may change next."""
    borders: list[datetime | None] = [
        each.effective_from for of_plan in versions.values() for each in of_plan
    ]
    for subscription in (timeline.subscription for timeline in timelines):
        borders += [subscription.start, subscription.end, *subscription.changes]
    return min((border for border in borders if border is not None and border > at), default=None)
