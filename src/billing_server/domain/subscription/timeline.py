"""How a subscription is cut into billing periods, always counted from its anchor (R1-R9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from billing_server.domain.catalog.model import (
    Addon,
    AnchorMode,
    Plan,
    Price,
    RecurringPrice,
    UsagePrice,
)
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.phase import (
    AddonKey,
    Phase,
    Segment,
    check_phases,
    phases_of,
    price_runs,
    spans_of,
)
from metering.errors import InvariantError
from metering.period import (
    BillingCycle,
    Period,
    PeriodUnit,
    billing_day_cycle,
    calendar_cycle,
    month_day_cycle,
    weekday_cycle,
)
from metering.proration import ProrationUnit, proration_share


@dataclass(frozen=True, slots=True)
class Timeline:
    """The billing periods of one subscription: they tile the time from its start to its end."""

    subscription: Subscription
    """Whose periods."""
    plan: Plan
    """Version that the subscription started on: it gives the grid and the currency."""
    timezone: str = "UTC"
    """The customer's billing zone."""
    phases: tuple[Phase, ...] = ()
    """What it is on over time, oldest first; empty: on this one version all the time."""
    cycle: BillingCycle = field(init=False)
    """The grid that the periods lie on."""

    def __post_init__(self) -> None:
        if not self.phases:
            plans = dict.fromkeys(self.subscription.versions, self.plan)
            phases = phases_of(self.subscription, plans=plans, addons={})
            object.__setattr__(self, "phases", phases)
        check_phases(self.phases, subscription=self.subscription)
        cycle = billing_cycle_of(self.subscription, plan=self.plan, timezone=self.timezone)
        object.__setattr__(self, "cycle", cycle)

    @classmethod
    def of(
        cls,
        subscription: Subscription,
        *,
        plans: Mapping[int, Plan],
        addons: Mapping[AddonKey, Addon],
        timezone: str,
    ) -> "Timeline":
        """Returns the timeline of a subscription with all that changed in it.

        Args:
            subscription: whose.
            plans: by version, those that it is on at some time.
            addons: by key and version, those that it has at some time.
            timezone: the customer's billing zone.
        """
        phases = phases_of(subscription, plans=plans, addons=addons)
        return cls(subscription, plans[subscription.plan_version], timezone, phases)

    def is_active_at(self, instant: datetime) -> bool:
        """Tells whether usage at an instant belongs to the subscription (R21)."""
        end = self.subscription.end
        return self.subscription.start <= instant and (end is None or instant < end)

    def period_at(self, instant: datetime) -> Period | None:
        """Returns the period that holds an instant; None before the start and from the end on."""
        if not self.is_active_at(instant):
            return None
        return self._cut(self.cycle.whole_period_at(instant))

    def first_period(self) -> Period:
        """Returns the period that begins at the subscription's start; a stub off the grid (R8)."""
        return self._cut(self.cycle.whole_period_at(self.subscription.start))

    def next_period(self, period: Period) -> Period | None:
        """Returns the period after one of this timeline; None after the last."""
        return self.period_at(period.end)

    def periods_between(self, *, start: datetime, end: datetime) -> list[Period]:
        """Returns, oldest first, every period that shares an instant with [start, end)."""
        instant = max(start, self.subscription.start)
        periods = []
        while instant < end:
            period = self.period_at(instant)
            if period is None:
                break
            periods.append(period)
            instant = period.end
        return periods

    def plan_at(self, instant: datetime) -> Plan:
        """Returns the plan version that applies at an instant; before the start, the first one."""
        started = [phase for phase in self.phases if phase.start <= instant]
        return (started[-1] if started else self.phases[0]).plan

    def phases_from(self, instant: datetime) -> tuple[Phase, ...]:
        """Returns the phase that holds an instant and all after it; before the start, all."""
        kept = [phase for phase in self.phases if phase.start > instant]
        started = [phase for phase in self.phases if phase.start <= instant]
        return (*started[-1:], *kept)

    @property
    def price_keys(self) -> tuple[str, ...]:
        """The keys of all prices of all phases, in the order of invoice lines."""
        return tuple(
            dict.fromkeys(price.key for phase in self.phases for price in phase.plan.prices)
        )

    def prices_in(self, period: Period) -> tuple[Price, ...]:
        """Returns the prices that apply somewhere in a period, each key once, as it stands last.

        They are in the order of the first plan version that has them: the order of invoice lines.
        """
        found = {
            price.key: price
            for phase, _ in spans_of(self.phases, period=period)
            for price in phase.plan.prices
        }
        return tuple(found.values())

    def segments_of(
        self, price_key: str, *, period: Period, cycle: BillingCycle | None = None
    ) -> tuple[Segment, ...]:
        """Returns the segments of a price in a period, oldest first (R17).

        Where the price applies all the time, they tile the period and their shares add up to that
        of the period; a price that applies nowhere has none.

        Args:
            price_key: of a price of some phase.
            period: a part of a single period of the grid.
            cycle: the grid, where it is not that of the plan.
        """
        runs = price_runs(spans_of(self.phases, period=period), price_key=price_key)
        grid = cycle or self.cycle
        shares = shares_of_spans([(run.plan, run.span) for run in runs], cycle=grid)
        return tuple(
            Segment(
                price=run.price,
                index=index,
                span=run.span,
                share=share,
                plan_version=run.plan.version,
                maximum_share=None if share else _part_by_second(run.span, cycle=grid),
            )
            for index, (run, share) in enumerate(zip(runs, shares, strict=True))
        )

    def usage_segments(self, period: Period) -> tuple[tuple[UsagePrice, Segment], ...]:
        """Returns every segment of a usage price in a period, in the order of invoice lines."""
        return tuple(
            (segment.price, segment)
            for price in self.prices_in(period)
            for segment in self.segments_of(price.key, period=period)
            if isinstance(segment.price, UsagePrice)
        )

    def segment_at(self, price_key: str, *, period: Period, at: datetime) -> Segment | None:
        """Returns the segment of a price that holds an instant; None where it does not apply."""
        for segment in self.segments_of(price_key, period=period):
            if segment.span.contains(at):
                return segment
        return None

    def cycle_of(self, price: RecurringPrice) -> BillingCycle:
        """Returns the grid of a fee's periods, which may be its own.

        Own periods follow the plan's anchor: from the anniversary, in whole calendar units, or on
        the plan's day. Where the plan's anchor is no day of the month, they count from the plan's
        period that holds the start.
        """
        own = price.billing_period
        if own is None or own == self.plan.billing_period:
            return self.cycle
        mode = self.plan.anchor.mode
        is_monthly = own.unit not in {PeriodUnit.DAY, PeriodUnit.WEEK}
        follows_anchor = (
            self.subscription.anchor is not None
            or mode in {AnchorMode.ANNIVERSARY, AnchorMode.CALENDAR}
            or (mode is AnchorMode.DAY and is_monthly)
        )
        if follows_anchor:
            plan = replace(self.plan, billing_period=own)
            return billing_cycle_of(self.subscription, plan=plan, timezone=self.timezone)
        whole = self.cycle.whole_period_at(self.subscription.start)
        return BillingCycle(
            anchor=whole.start, unit=own.unit, every=own.every, timezone=self.timezone
        )

    def share_of(self, period: Period) -> Fraction:
        """Returns a period's share of its whole period, in the plan's proration unit (R8, R46)."""
        return share_of_period(period, plan=self.plan_at(period.start), cycle=self.cycle)

    def _cut(self, whole: Period) -> Period:
        """Returns the part of a grid period in which the subscription runs."""
        start = max(whole.start, self.subscription.start)
        end = self.subscription.end
        return Period(start, whole.end if end is None else min(whole.end, end))


def billing_cycle_of(subscription: Subscription, *, plan: Plan, timezone: str) -> BillingCycle:
    """Returns the grid of a subscription's periods (R9).

    Args:
        subscription: its own anchor, where it has one, goes before the plan's.
        plan: gives length and anchor.
        timezone: the customer's billing zone; local midnight and wall times are its (R2).
    """
    unit, every = plan.billing_period.unit, plan.billing_period.every
    anchor, start = plan.anchor, subscription.start
    if subscription.anchor is not None or anchor.mode is AnchorMode.ANNIVERSARY:
        return BillingCycle(
            anchor=subscription.anchor or start, unit=unit, every=every, timezone=timezone
        )
    match anchor.mode:
        case AnchorMode.CALENDAR:
            return calendar_cycle(unit=unit, every=every, timezone=timezone, at=start)
        case AnchorMode.DAY:
            return billing_day_cycle(
                day=anchor.day, unit=unit, every=every, timezone=timezone, at=start
            )
        case AnchorMode.WEEKDAY:
            return weekday_cycle(weekday=anchor.day - 1, every=every, timezone=timezone, at=start)
        case AnchorMode.MONTH_DAY:
            return month_day_cycle(
                month=anchor.month,
                day=anchor.day,
                unit=unit,
                every=every,
                timezone=timezone,
                at=start,
            )
    raise InvariantError(reason="ANCHOR_UNKNOWN", message=f"no cycle for anchor {anchor.mode}")


def _part_by_second(span: Period, *, cycle: BillingCycle) -> Fraction:
    return span.seconds / cycle.whole_period_at(span.start).seconds


def shares_of_spans(
    spans: Sequence[tuple[Plan, Period]], *, cycle: BillingCycle
) -> tuple[Fraction, ...]:
    """Returns the shares of the spans of one period in which something is charged (R17, R50).

    Without proration the part of a period in which it is charged costs the whole, once: where
    terms change inside it, each span has its part of that time by the second.

    Args:
        spans: with their plans, all inside one period of the grid, none of them overlapping.
        cycle: the grid; its zone is that in which days are counted.
    """
    charged = sum((span.seconds for _, span in spans), Fraction(0))
    return tuple(
        span.seconds / charged
        if plan.proration is ProrationUnit.NONE
        else share_of_period(span, plan=plan, cycle=cycle)
        for plan, span in spans
    )


def share_of_period(period: Period, *, plan: Plan, cycle: BillingCycle) -> Fraction:
    """Returns a period's share of the whole grid period that it lies in, 0 to 1 (R46).

    By days, 0 where it ends on the day on which it begins.

    Args:
        period: lies inside one period of the grid; the only part of it that is charged.
        plan: gives the proration unit.
        cycle: the grid; its zone is that in which days are counted.
    """
    whole = cycle.whole_period_at(period.start)
    if whole == period or plan.proration is ProrationUnit.NONE:
        return Fraction(1)
    return proration_share(
        whole=whole,
        start=period.start,
        end=period.end,
        unit=plan.proration,
        timezone=cycle.timezone,
    )
