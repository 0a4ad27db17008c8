"""Phases: what a subscription is on over time, and the segments that they cut a period into (R17).

A phase is a span with one plan version and one set of prices. A segment is what one price makes of
it inside one period: phases in which the price stands unchanged are one segment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from billing_server.domain.catalog.model import Addon, Plan, Price, UsagePrice
from billing_server.domain.catalog.terms import effective_plan
from billing_server.domain.subscription.model import Subscription
from metering.errors import InvariantError
from metering.period import Period

AddonKey = tuple[str, int]
"""Key and version of an add-on."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One plan version with one set of prices, from an instant until the next phase begins."""

    start: datetime
    """UTC, on a whole minute."""
    plan: Plan
    """The plan version; its prices are those that apply, with overrides and add-ons in them."""
    addon_prices: frozenset[str] = frozenset()
    """Keys of those of its prices that come from add-ons."""
    _prices: dict[str, Price] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prices", {price.key: price for price in self.plan.prices})

    def price(self, key: str) -> Price | None:
        """Returns a price that applies in the phase; None where there is none of this key."""
        return self._prices.get(key)


@dataclass(frozen=True, slots=True)
class Segment:
    """A span inside a period in which one price stands unchanged: rated on its own usage (R17)."""

    price: Price
    """The price, as it applies in the span; what charges nothing of it, as at the span's end."""
    index: int
    """Position among the price's segments of the period, from 0; a part of the charge key (R67)."""
    span: Period
    """From its start to its end, half-open, inside the period."""
    share: Fraction
    """Of the whole period of the grid, in the plan's proration unit, 0 to 1."""
    plan_version: int
    """Version of the plan at the start of the span: what a line shows (R37)."""
    maximum_share: Fraction | None = None
    """What scales a maximum where the unit counts nothing in the span, > 0: its part by the second.
    None: the share does."""


@dataclass(frozen=True, slots=True)
class PriceRun:
    """A price that stands unchanged over a span."""

    price: Price
    """The price, as it stands last."""
    span: Period
    """As long as it stands."""
    plan: Plan
    """The plan version at its start."""


def check_phases(phases: Sequence[Phase], *, subscription: Subscription) -> None:
    """Checks that phases begin with the subscription and follow one another.

    Raises:
        InvariantError: PHASES_MALFORMED.
    """
    starts = [phase.start for phase in phases]
    is_ascending = all(first < second for first, second in pairwise(starts))
    if not starts or starts[0] != subscription.start or not is_ascending:
        raise InvariantError(
            reason="PHASES_MALFORMED",
            message=f"the phases of subscription {subscription.id!r} start at {starts}; the first "
            "has to start with it, and each after the one before",
        )


def phases_of(
    subscription: Subscription, *, plans: Mapping[int, Plan], addons: Mapping[AddonKey, Addon]
) -> tuple[Phase, ...]:
    """Returns the phases of a subscription: a new one where its version or its prices change.

    Args:
        subscription: with its moves, overrides and add-ons.
        plans: by version, those that it is on at some time.
        addons: by key and version, those that it has at some time.
    """
    phases: list[Phase] = []
    for start in (subscription.start, *subscription.changes):
        if subscription.end is not None and start >= subscription.end:
            break
        attached = [addons[each.key, each.version] for each in subscription.addons_at(start)]
        plan = _without_later_prices(
            plans[subscription.version_at(start)], subscription=subscription, at=start
        )
        phase = Phase(
            start,
            effective_plan(plan, overrides=subscription.overrides_at(start), addons=attached),
            frozenset(price.key for addon in attached for price in addon.prices),
        )
        if not phases or (phases[-1].plan, phases[-1].addon_prices) != (
            phase.plan,
            phase.addon_prices,
        ):
            phases.append(phase)
    return tuple(phases)


def _without_later_prices(plan: Plan, *, subscription: Subscription, at: datetime) -> Plan:
    """Returns a plan without the added prices that charge nothing yet at an instant (R32)."""
    starts = subscription.price_starts
    if not any(start > at for start in starts.values()):
        return plan
    kept = tuple(price for price in plan.prices if starts.get(price.key, at) <= at)
    return replace(plan, prices=kept)


def spans_of(phases: Sequence[Phase], *, period: Period) -> list[tuple[Phase, Period]]:
    """Returns the phases that share time with a period, each with the part that it has of it.

    The parts tile the period, as long as it does not begin before the first phase.
    """
    ends = [*(phase.start for phase in phases[1:]), period.end]
    return [
        (phase, Period(max(phase.start, period.start), min(end, period.end)))
        for phase, end in zip(phases, ends, strict=True)
        if max(phase.start, period.start) < min(end, period.end)
    ]


def price_runs(spans: Iterable[tuple[Phase, Period]], *, price_key: str) -> tuple[PriceRun, ...]:
    """Returns the spans in which a price stands unchanged, oldest first.

    The unit of proration belongs to the terms: it decides what a span's share is. Names and costs
    do not: another name, unit cost or estimate charges nothing else. A commitment does for usage,
    which it counts and discounts.
    """
    runs: list[PriceRun] = []
    for phase, span in spans:
        price = phase.price(price_key)
        if price is None:
            continue
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.span.end == span.start
            and last.plan.proration is phase.plan.proration
            and (last.price == price or charging_terms(last.price) == charging_terms(price))
            and (not isinstance(price, UsagePrice) or last.plan.commitment == phase.plan.commitment)
        ):
            runs[-1] = PriceRun(price, Period(last.span.start, span.end), last.plan)
        else:
            runs.append(PriceRun(price, span, phase.plan))
    return tuple(runs)


def charging_terms(price: Price) -> Price:
    """Returns a price without the fields that charge nothing: equal ones charge the same (R17)."""
    if isinstance(price, UsagePrice):
        return replace(price, name="", unit_cost=None, estimate_unit_price=None)
    return replace(price, name="")
