"""Wrong prices: what the corrected version of a plan makes of its subscriptions' periods.

Open periods can be priced anew at once. Periods that are invoiced stay as they are (R66): for them
it is told which credit notes and charges would make them right.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from billing_server.domain.catalog.model import Plan
from billing_server.domain.invoice.correction import Correction
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Subscription
from billing_server.services.change_terms import (
    TermsChange,
    check_change,
    hold_subscription,
    timeline_of,
    write_change,
)
from billing_server.services.context import ServiceContext
from billing_server.services.correct_invoices import correct_invoices, ended_periods
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.move_version import check_grid, draft_total, with_move
from billing_server.services.not_found import plan_not_found
from billing_server.services.open_periods import open_periods
from metering.clock import floor_to_minute
from metering.errors import MeteringError, NotFoundError
from metering.money import Money
from metering.period import Period

SUBSCRIPTIONS_MAX = 50
"""Subscriptions of one call: each folds the usage of every period since the instant."""
PERIODS_MAX = 600
"""Invoiced periods after which a call ends, at some milliseconds each; the next one goes on with
the next subscription."""


class RepriceMode(Enum):
    """Whether open periods are priced anew, or it is only told."""

    APPLY = "apply"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepriceWish:
    """Which prices, and since when they should have been."""

    plan_key: str
    """Whose subscriptions."""
    start: datetime
    """From this instant on, UTC."""
    version: int | None = None
    """The version whose prices are right; None: the newest."""
    of_version: int | None = None
    """Only subscriptions that are on this version at some time from then on; None: all."""

    def is_about(self, subscription: Subscription) -> bool:
        """Returns whether prices of a subscription are to be corrected."""
        if subscription.end is not None and subscription.end <= self.start:
            return False
        later = {move.version for move in subscription.moves if move.start > self.start}
        return self.of_version in {None, subscription.version_at(self.start), *later}


@dataclass(frozen=True, slots=True)
class RepricedPeriod:
    """An open period as it is and as it would be."""

    period: Period
    """Which one."""
    before: Money
    """What its invoice comes to so far."""
    after: Money
    """The same at the corrected prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepricedSubscription:
    """What the corrected prices make of one subscription."""

    subscription_id: str
    """Which one."""
    customer_id: str
    """Whose."""
    currency: str
    """Of all its amounts."""
    to_version: int
    """The version whose prices are right."""
    open_periods: tuple[RepricedPeriod, ...] = ()
    """Periods without an invoice, oldest first."""
    corrections: tuple[Correction, ...] = ()
    """What would make the invoiced periods right."""
    applied_from: datetime | None = None
    """From when on the subscription is on the version now; None: nothing was applied."""
    refusal: str | None = None
    """Why its prices cannot be corrected like this; None: they can."""
    rated_count: int = 0
    """Invoiced periods that were rated anew, >= 0."""


@dataclass(frozen=True, slots=True)
class Repriced:
    """What the corrected prices make of some subscriptions of a plan."""

    results: tuple[RepricedSubscription, ...]
    """One for each subscription that runs after the instant, by id."""
    next_after: str | None
    """Id after which the next call goes on; None: these were all."""


def reprice_plan(
    context: ServiceContext,
    *,
    wish: RepriceWish,
    mode: RepriceMode = RepriceMode.DRY_RUN,
    after: str | None = None,
) -> Repriced:
    """Tell what corrected prices make of a plan's subscriptions, and apply them to open periods.

    A subscription that cannot be corrected is told with the reason and holds up no other.

    Args:
        context: the world.
        wish: which prices, and since when.
        mode: whether open periods are priced anew; nothing that is invoiced is touched.
        after: go on behind this subscription.

    Raises:
        NotFoundError: PLAN_NOT_FOUND, PLAN_VERSION_NOT_FOUND.
    """
    with context.store.read() as unit:
        target = _target(unit, wish=wish)
        found = unit.subscriptions.on_plan(wish.plan_key, after=after, limit=SUBSCRIPTIONS_MAX)
    results: list[RepricedSubscription] = []
    rated_count = 0
    for each in found:
        if wish.is_about(each):
            told = _repriced(context, subscription=each, target=target, wish=wish, mode=mode)
            results.append(told)
            rated_count += told.rated_count
        if rated_count >= PERIODS_MAX:
            return Repriced(tuple(results), each.id)
    return Repriced(tuple(results), found[-1].id if len(found) == SUBSCRIPTIONS_MAX else None)


def _target(unit: UnitOfWork, *, wish: RepriceWish) -> Plan:
    newest = unit.catalog.latest_plan(wish.plan_key)
    if newest is None:
        raise plan_not_found(wish.plan_key)
    named = {
        version: unit.catalog.plan(wish.plan_key, version=version)
        for version in (wish.version, wish.of_version)
        if version is not None
    }
    for version, plan in named.items():
        if plan is None:
            raise NotFoundError(
                reason="PLAN_VERSION_NOT_FOUND",
                message=f"plan {wish.plan_key!r} has no version {version}; its versions are 1 to "
                f"{newest.version}",
            )
    return (None if wish.version is None else named[wish.version]) or newest


def _repriced(
    context: ServiceContext,
    *,
    subscription: Subscription,
    target: Plan,
    wish: RepriceWish,
    mode: RepriceMode,
) -> RepricedSubscription:
    try:
        with context.store.read() as unit:
            told = _told(unit, context=context, subscription=subscription, target=target, wish=wish)
        if mode is RepriceMode.DRY_RUN or not told.open_periods:
            return told
        start = max(floor_to_minute(wish.start), told.open_periods[0].period.start)
        with context.store.write() as unit:
            held = hold_subscription(unit, subscription_id=subscription.id)
            change = TermsChange(with_move(held, version=target.version, start=start), start)
            before = timeline_of(unit, subscription=held)
            write_change(unit, context=context, before=before, change=change)
        return replace(told, applied_from=start)
    except MeteringError as error:
        return RepricedSubscription(
            subscription_id=subscription.id,
            customer_id=subscription.customer_id,
            currency=target.currency,
            to_version=target.version,
            refusal=f"{error.reason}: {error.message}",
        )


def _told(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    subscription: Subscription,
    target: Plan,
    wish: RepriceWish,
) -> RepricedSubscription:
    start = max(floor_to_minute(wish.start), subscription.start)
    timeline = timeline_of(unit, subscription=subscription)
    check_grid(timeline, target=target)
    changed = with_move(subscription, version=target.version, start=start)
    check_change(unit, change=TermsChange(changed, start))
    corrected = timeline_of(unit, subscription=changed)
    terms = load_customer_terms(unit, customer_id=subscription.customer_id)
    now = context.clock.now()
    running = tuple(open_periods(unit, timeline=timeline, now=now))
    until = running[0].start if running else timeline.subscription.end or start
    return RepricedSubscription(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        currency=target.currency,
        to_version=target.version,
        open_periods=tuple(
            RepricedPeriod(
                period,
                draft_total(unit, terms=terms, timeline=timeline, period=period, at=now),
                draft_total(unit, terms=terms, timeline=corrected, period=period, at=now),
            )
            for period in running
            if period.end > start
        ),
        corrections=correct_invoices(
            unit, terms=terms, corrected=corrected, start=start, until=until
        ),
        rated_count=len(ended_periods(corrected, start=start, until=until)),
    )
