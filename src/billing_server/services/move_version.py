"""Moving subscriptions onto another version of their plan, with what each will pay told before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from billing_server.domain.catalog.model import Plan
from billing_server.domain.invoice.build import build_upcoming
from billing_server.domain.invoice.late import LatePeriod
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Subscription, VersionMove
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.change_terms import (
    Effective,
    Moment,
    TermsChange,
    check_change,
    effective_start,
    hold_subscription,
    timeline_of,
    write_change,
)
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.late_usage import find_late_periods
from billing_server.services.not_found import subscription_not_found
from billing_server.services.open_periods import open_periods
from billing_server.services.period_usage import fold_period
from billing_server.services.unpriced_alerts import close_alerts_promptly
from billing_server.services.upcoming_invoice import lines_before
from metering.errors import InvalidStateError, MeteringError, NotFoundError, ValidationError
from metering.money import Money
from metering.period import Period

MOVES_MAX = 500
"""Subscriptions that one call moves; the answer says where the next one goes on."""


class MoveMode(Enum):
    """Whether subscriptions are moved, or it is only told what each would pay."""

    MOVE = "move"
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """Which version, and from when on."""

    version: int
    """Of the plan, from 1; may be an older one."""
    effective: Effective = Moment.RENEWAL
    """From when on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMoved:
    """What moving one subscription came to, or would."""

    subscription_id: str
    """Which one."""
    customer_id: str
    """Whose."""
    from_version: int
    """Version before."""
    to_version: int
    """Version after."""
    start: datetime | None = None
    """From when on, UTC; None: it does not move."""
    before: Money | None = None
    """Upcoming invoice with the usage so far as it was; None: it does not move."""
    after: Money | None = None
    """The same with the new version: from `start` on, or as if for the whole period where `start`
    lies behind it."""
    refusal: str | None = None
    """Why it does not move; None: it does."""


@dataclass(frozen=True, slots=True)
class VersionsMoved:
    """What moving the subscriptions of a plan came to, or would."""

    results: tuple[VersionMoved, ...]
    """One for each subscription, by id."""
    next_after: str | None
    """Id after which the next call goes on; None: these were all."""


def move_version(
    context: ServiceContext,
    *,
    subscription_id: str,
    wish: MoveWish,
    mode: MoveMode = MoveMode.MOVE,
) -> VersionMoved:
    """Move one subscription onto another version of its plan, or tell what it would pay.

    A pending move is replaced: there is at most one.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND, PLAN_VERSION_NOT_FOUND.
        InvalidStateError: BILLING_PERIOD_CHANGES, PERIOD_INVOICED, SUBSCRIPTION_ENDED,
            USAGE_INVOICED.
        ValidationError: SUBSCRIPTION_TERMS_INVALID: overrides, add-ons or quantities do not fit.
    """
    if mode is MoveMode.PREVIEW:
        with context.store.read() as unit:
            found = unit.subscriptions.get(subscription_id)
            if found is None:
                raise subscription_not_found(subscription_id)
            return _planned(unit, context=context, subscription=found, wish=wish)[0]
    with context.store.write() as unit:
        found = hold_subscription(unit, subscription_id=subscription_id)
        moved, change, before = _planned(unit, context=context, subscription=found, wish=wish)
        write_change(unit, context=context, before=before, change=change)
    close_alerts_promptly(context, customer_id=moved.customer_id)
    return moved


def move_versions(
    context: ServiceContext,
    *,
    plan_key: str,
    wish: MoveWish,
    mode: MoveMode = MoveMode.MOVE,
    subscription_ids: Sequence[str] | None = None,
    after: str | None = None,
) -> VersionsMoved:
    """Move some or all subscriptions of a plan, each in a transaction of its own.

    One that cannot move is told with the reason and holds up no other.

    Args:
        context: the world.
        plan_key: whose subscriptions.
        wish: the version and the time.
        mode: whether it is done, or only told.
        subscription_ids: only these; None: all of the plan that are not on the version already.
        after: go on behind this id.

    Raises:
        NotFoundError: PLAN_VERSION_NOT_FOUND; SUBSCRIPTION_NOT_FOUND, one of `subscription_ids`.
        ValidationError: SUBSCRIPTION_ON_OTHER_PLAN.
    """
    with context.store.read() as unit:
        target = _plan_version(unit, plan_key=plan_key, version=wish.version)
        if subscription_ids is None:
            found = unit.subscriptions.on_plan(target.key, after=after, limit=MOVES_MAX)
            wanted = [each for each in found if _newest_version(each) != wish.version]
            next_after = found[-1].id if len(found) == MOVES_MAX else None
        else:
            wanted = _chosen(unit, plan_key=target.key, subscription_ids=subscription_ids)
            next_after = None
    results = []
    for each in wanted:
        try:
            results.append(move_version(context, subscription_id=each.id, wish=wish, mode=mode))
        except MeteringError as error:
            results.append(_refused(each, wish=wish, error=error))
    return VersionsMoved(tuple(results), next_after)


def _chosen(
    unit: UnitOfWork, *, plan_key: str, subscription_ids: Sequence[str]
) -> list[Subscription]:
    found = {each: unit.subscriptions.get(each) for each in sorted(set(subscription_ids))}
    missing = [each for each, known in found.items() if known is None]
    if missing:
        raise subscription_not_found(*missing)
    chosen = [known for known in found.values() if known is not None]
    others = [f"{each.id!r} ({each.plan_key})" for each in chosen if each.plan_key != plan_key]
    if others:
        raise ValidationError(
            reason="SUBSCRIPTION_ON_OTHER_PLAN",
            message=f"on another plan than {plan_key!r}: {', '.join(others)}; nothing was moved",
        )
    return chosen


def _refused(subscription: Subscription, *, wish: MoveWish, error: MeteringError) -> VersionMoved:
    return VersionMoved(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        from_version=_newest_version(subscription),
        to_version=wish.version,
        refusal=f"{error.reason}: {error.message}",
    )


def _newest_version(subscription: Subscription) -> int:
    return subscription.moves[-1].version if subscription.moves else subscription.plan_version


def _planned(
    unit: UnitOfWork, *, context: ServiceContext, subscription: Subscription, wish: MoveWish
) -> tuple[VersionMoved, TermsChange, Timeline]:
    """Return the move with what it costs, the change to write, and the timeline before."""
    before = timeline_of(unit, subscription=subscription)
    start = effective_start(unit, context=context, timeline=before, effective=wish.effective)
    target = _plan_version(unit, plan_key=subscription.plan_key, version=wish.version)
    check_grid(before, target=target)
    change = TermsChange(with_move(subscription, version=wish.version, start=start), start)
    check_change(unit, change=change)
    terms = load_customer_terms(unit, customer_id=subscription.customer_id)
    now = max(context.clock.now(), subscription.start)
    period = before.period_at(now) or before.first_period()
    # A renewal changes nothing that is used so far: it is shown what the same usage would cost.
    shown_start = period.start if start >= period.end else start
    shown = with_move(subscription, version=wish.version, start=shown_start)
    late = _late_in(unit, terms=terms, timeline=before, period=period, now=now)
    moved = VersionMoved(
        subscription_id=subscription.id,
        customer_id=subscription.customer_id,
        from_version=subscription.version_at(start),
        to_version=wish.version,
        start=start,
        before=draft_total(unit, terms=terms, timeline=before, period=period, at=now, late=late),
        after=draft_total(
            unit,
            terms=terms,
            timeline=timeline_of(unit, subscription=shown),
            period=period,
            at=now,
            late=late,
        ),
    )
    return moved, change, before


def _late_in(
    unit: UnitOfWork, *, terms: CustomerTerms, timeline: Timeline, period: Period, now: datetime
) -> tuple[LatePeriod, ...]:
    """Return the late usage that stands on the invoice of a period: on the next one that is issued.

    It is charged at its own period's price, whatever the subscription moves to.
    """
    if next(iter(open_periods(unit, timeline=timeline, now=now)), None) != period:
        return ()
    return find_late_periods(unit, terms=terms, subscription_id=timeline.subscription.id)


def with_move(subscription: Subscription, *, version: int, start: datetime) -> Subscription:
    """Return a subscription that comes onto a version; later moves are dropped."""
    kept = tuple(move for move in subscription.moves if move.start < start)
    if start == subscription.start:
        return replace(subscription, plan_version=version, moves=kept)
    return replace(subscription, moves=(*kept, VersionMove(start=start, version=version)))


def draft_total(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    timeline: Timeline,
    period: Period,
    at: datetime,
    late: Sequence[LatePeriod] = (),
) -> Money:
    """Return what the invoice of a period would come to now, on terms that may not be written.

    Args:
        unit: its reads see one state.
        terms: of the customer.
        timeline: of the subscription, in place of the one that is written.
        period: without an invoice yet.
        at: now, UTC.
        late: usage of earlier periods that stands on the invoice.
    """
    subscription_id = timeline.subscription.id
    changed = replace(terms, timelines={**terms.timelines, subscription_id: timeline})
    usage = fold_period(unit, terms=changed, subscription_id=subscription_id, period=period, at=at)
    subscribed = changed.of_subscription(subscription_id)
    draft = build_upcoming(
        subscribed,
        period=period,
        quantities=usage.quantities,
        late=late,
        earlier=lines_before(unit, terms=subscribed, period=period),
    )
    return draft.total


def _plan_version(unit: UnitOfWork, *, plan_key: str, version: int) -> Plan:
    plan = unit.catalog.plan(plan_key, version=version)
    if plan is None:
        known = unit.catalog.plan_versions(plan_key)
        there = f"its versions are 1 to {known[-1].version}" if known else "there is no such plan"
        raise NotFoundError(
            reason="PLAN_VERSION_NOT_FOUND",
            message=f"plan {plan_key!r} has no version {version}: {there}",
        )
    return plan


def check_grid(timeline: Timeline, *, target: Plan) -> None:
    """Check that a version has the billing periods that a running subscription counts in.

    Raises:
        InvalidStateError: BILLING_PERIOD_CHANGES.
    """
    plan = timeline.plan
    has_own_anchor = timeline.subscription.anchor is not None
    is_same = plan.billing_period == target.billing_period and (
        has_own_anchor or plan.anchor == target.anchor
    )
    if not is_same:
        raise InvalidStateError(
            reason="BILLING_PERIOD_CHANGES",
            message=f"version {target.version} of plan {target.key!r} has another billing period "
            "or anchor; changing it under a running subscription is not supported by this version "
            "yet: start a new subscription on it",
        )
