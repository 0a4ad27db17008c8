"""Subscriptions and new plan versions: who gets the prices that were added, and who stays (R32).

A subscription stays on the version that it was made on (R37). One case is different: a version that
only prices usage which had no price. Then the subscription moves, and the usage of its periods that
are not invoiced yet and start at or after the version's `effective_from` is priced: open ones anew,
or from a later one on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from billing_server.domain.catalog.added_prices import added_usage_prices
from billing_server.domain.catalog.model import Plan
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.change_terms import check_terms_at, surroundings_of
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_timeline
from billing_server.services.follow_limits import limits_following
from billing_server.services.invoiced_usage import find_invoiced_claim, meters_of
from billing_server.services.limit_book import LimitBook
from billing_server.services.not_found import customer_not_found
from billing_server.services.open_periods import open_periods
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from metering.clock import format_instant
from metering.errors import ValidationError

BATCH = 500
"""Subscriptions read at a time."""


@dataclass(frozen=True, slots=True)
class _Move:
    """What becomes of a subscription."""

    subscription: Subscription
    price_starts: dict[str, datetime] | None
    """By added price, from when it charges; empty: from when the subscription comes onto its last
    version, which lies ahead; None: the subscription stays."""


def describe_moves(unit: UnitOfWork, *, context: ServiceContext, plan: Plan) -> tuple[str, ...]:
    """Say what a new version means for the subscriptions of its plan; changes nothing.

    Args:
        unit: sees the catalog without the version.
        context: the world.
        plan: the new version; without an `effective_from` it is on offer from now on.
    """
    moved_count = later_count = pending_count = 0
    now = context.clock.now()
    effective_from = plan.effective_from or now
    staying: Counter[int] = Counter()
    for move in _moves(unit, context=context, plan=plan):
        if move.price_starts is None:
            staying[_newest(move.subscription)] += 1
        elif not move.price_starts:
            pending_count += 1
        elif min(move.price_starts.values()) <= now:
            moved_count += 1
        else:
            later_count += 1
    lines = [
        f"{_counted(count)} on version {version}" for version, count in sorted(staying.items())
    ]
    if moved_count:
        moved = _counted(moved_count, verb="move")
        lines.insert(0, f"{moved} to version {plan.version}: open periods are priced anew")
    if later_count:
        moved, since = _counted(later_count, verb="move"), format_instant(effective_from)
        lines.append(
            f"{moved} to version {plan.version}: what it adds is charged from the first period on "
            f"that starts at or after {since}"
        )
    if pending_count:
        moved = _counted(pending_count, verb="move")
        lines.append(f"{moved} to version {plan.version} when its pending move takes effect")
    return tuple(lines)


def move_subscriptions(unit: UnitOfWork, *, context: ServiceContext, plan: Plan) -> None:
    """Move the subscriptions that get the added prices of a new version.

    Args:
        unit: holds the catalog; the version is written.
        context: the world.
        plan: the new version, with its number.
    """
    book = LimitBook()
    for move in _moves(unit, context=context, plan=plan):
        subscription = move.subscription
        if move.price_starts is None:
            continue
        # Looked at again under the lock: a period may have been invoiced meanwhile.
        unit.customers.lock([subscription.customer_id])
        starts = _price_starts(unit, context=context, plan=plan, subscription=subscription)
        if starts is None:
            continue
        customer_id, now = subscription.customer_id, context.clock.now()
        with limits_following(unit, customer_id=customer_id, now=now, book=book):
            unit.subscriptions.update_history(
                _on_version(subscription, version=plan.version, price_starts=starts),
                update_time=now,
            )
            unit.customers.advance_revision(customer_id)
            rebuild_running_charges(unit, customer_id=customer_id)


def _moves(unit: UnitOfWork, *, context: ServiceContext, plan: Plan) -> Iterator[_Move]:
    after: str | None = None
    while batch := unit.subscriptions.on_plan(plan.key, after=after, limit=BATCH):
        for subscription in batch:
            starts = _price_starts(unit, context=context, plan=plan, subscription=subscription)
            yield _Move(subscription, starts)
        after = batch[-1].id


def _price_starts(
    unit: UnitOfWork, *, context: ServiceContext, plan: Plan, subscription: Subscription
) -> dict[str, datetime] | None:
    pinned = unit.catalog.plan(subscription.plan_key, version=_newest(subscription))
    if pinned is None:
        return None
    added = added_usage_prices(pinned, new=plan)
    if not added:
        return None
    customer = unit.customers.get(subscription.customer_id)
    if customer is None:
        raise customer_not_found(subscription.customer_id)
    timeline = load_timeline(unit, subscription=subscription, customer=customer)
    now = context.clock.now()
    effective_from = plan.effective_from or now
    since = subscription.moves[-1].start if subscription.moves else subscription.start
    running = tuple(open_periods(unit, timeline=timeline, now=now))
    starts = [
        period.start for period in running if period.start >= effective_from and period.end > since
    ]
    if not starts and now < since and effective_from <= since:
        # A move that is pending: what is open now stays on the version before it.
        fits = _fits(unit, subscription=subscription, customer=customer, plan=plan, start=since)
        return {} if fits else None
    later = _first_start(timeline, not_before=effective_from) if running else None
    start = starts[0] if starts else later
    if start is None:
        return None
    if not _fits(unit, subscription=subscription, customer=customer, plan=plan, start=start):
        return None
    claim = find_invoiced_claim(
        unit, subscription=subscription, meters=meters_of(added), start=start
    )
    return None if claim is not None else {price.key: start for price in added}


def _first_start(timeline: Timeline, *, not_before: datetime) -> datetime | None:
    """Returns the first start of a period from an instant on; None where the subscription ends.

    Args:
        timeline: of a subscription all of whose open periods start before the instant.
        not_before: UTC.
    """
    holding = timeline.period_at(not_before)
    if holding is None or holding.start == not_before:
        return None if holding is None else holding.start
    following = timeline.next_period(holding)
    return None if following is None else following.start


def _fits(
    unit: UnitOfWork,
    *,
    subscription: Subscription,
    customer: Customer,
    plan: Plan,
    start: datetime,
) -> bool:
    """Tells whether a version fits the add-ons and limits that a subscription has from then on."""
    surroundings = surroundings_of(unit, customer=customer)
    try:
        for at in (start, *(each for each in subscription.changes if each > start)):
            check_terms_at(
                unit, subscription=subscription, plan=plan, at=at, surroundings=surroundings
            )
    except ValidationError:
        return False
    return True


def _newest(subscription: Subscription) -> int:
    """Returns the version that a subscription is on last, one that it will come onto among them."""
    return subscription.moves[-1].version if subscription.moves else subscription.plan_version


def _on_version(
    subscription: Subscription, *, version: int, price_starts: dict[str, datetime]
) -> Subscription:
    """Returns a subscription whose last version is replaced by one that only adds prices."""
    starts = {**subscription.price_starts, **price_starts}
    if not subscription.moves:
        return replace(subscription, plan_version=version, price_starts=starts)
    *before, last = subscription.moves
    moves = (*before, replace(last, version=version))
    return replace(subscription, moves=moves, price_starts=starts)


def _counted(count: int, *, verb: str = "stay") -> str:
    return f"{count} subscription {verb}s" if count == 1 else f"{count} subscriptions {verb}"
