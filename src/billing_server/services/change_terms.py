"""Changes of the terms of running subscriptions: when they take effect, and writing them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing_server.domain.catalog.model import Plan
from billing_server.domain.catalog.terms import Surroundings, check_terms
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_timeline
from billing_server.services.follow_limits import limits_following
from billing_server.services.invoiced_usage import find_invoiced_claim
from billing_server.services.not_found import customer_not_found, subscription_not_found
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from metering.clock import floor_to_minute, format_instant, parse_instant
from metering.errors import InvalidStateError, NotFoundError, ValidationError


class Moment(StrEnum):
    """When a change takes effect, where it is no instant."""

    NOW = "now"
    """From the present minute on."""
    RENEWAL = "renewal"
    """From the end of the running period on."""


Effective = Moment | datetime
"""When a change takes effect."""


@dataclass(frozen=True, slots=True)
class TermsChange:
    """A change of terms, ready to be written."""

    subscription: Subscription
    """With the change in it."""
    start: datetime
    """From when on it takes effect, UTC."""


def hold_subscription(unit: UnitOfWork, *, subscription_id: str) -> Subscription:
    """Lock a subscription's customer and return the subscription as it is then.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND.
    """
    found = unit.subscriptions.get(subscription_id)
    if found is not None:
        unit.customers.lock([found.customer_id])
        found = unit.subscriptions.get(subscription_id)
    if found is None:
        raise subscription_not_found(subscription_id)
    return found


def timeline_of(unit: UnitOfWork, *, subscription: Subscription) -> Timeline:
    """Return the timeline of a subscription, with or without a change that is not written."""
    customer = unit.customers.get(subscription.customer_id)
    if customer is None:
        raise customer_not_found(subscription.customer_id)
    return load_timeline(unit, subscription=subscription, customer=customer)


def effective_start(
    unit: UnitOfWork, *, context: ServiceContext, timeline: Timeline, effective: Effective
) -> datetime:
    """Return the instant from which on a change takes effect, on a whole minute.

    Raises:
        InvalidStateError: SUBSCRIPTION_ENDED; PERIOD_INVOICED, what was invoiced does not change.
    """
    subscription = timeline.subscription
    now = max(floor_to_minute(context.clock.now()), subscription.start)
    period = timeline.period_at(now)
    if period is None:
        raise _ended(subscription, at=now)
    match effective:
        case Moment.NOW:
            return now
        case Moment.RENEWAL:
            if timeline.next_period(period) is None:
                raise _ended(subscription, at=period.end)
            return period.end
        case datetime():
            start = max(floor_to_minute(effective), subscription.start)
    if not timeline.is_active_at(start):
        raise _ended(subscription, at=start)
    running = unit.billing_periods.running(subscription.id)
    earliest = running[0].period.start if running else now
    if start < earliest:
        raise InvalidStateError(
            reason="PERIOD_INVOICED",
            message=f"subscription {subscription.id!r} is invoiced until "
            f"{format_instant(earliest)}; a change takes effect there at the earliest, not at "
            f"{format_instant(start)}",
            metadata={"subscription": subscription.id, "effective_min": format_instant(earliest)},
        )
    return start


def _ended(subscription: Subscription, *, at: datetime) -> InvalidStateError:
    return InvalidStateError(
        reason="SUBSCRIPTION_ENDED",
        message=f"subscription {subscription.id!r} does not run at {format_instant(at)}",
    )


def write_change(
    unit: UnitOfWork, *, context: ServiceContext, before: Timeline, change: TermsChange
) -> Timeline:
    """Check and write a change, and price the usage of open periods anew.

    Args:
        unit: holds the customer.
        context: the world.
        before: the timeline as it was.
        change: what it becomes.

    Raises:
        ValidationError: SUBSCRIPTION_TERMS_INVALID.
        InvalidStateError: USAGE_INVOICED.
    """
    subscription = change.subscription
    check_change(unit, change=change)
    after = timeline_of(unit, subscription=subscription)
    _check_invoiced(unit, before=before, after=after, start=change.start)
    now, customer_id = context.clock.now(), subscription.customer_id
    with limits_following(unit, customer_id=customer_id, now=now):
        unit.subscriptions.update_history(subscription, update_time=now)
        unit.customers.advance_revision(customer_id)
        rebuild_running_charges(unit, customer_id=customer_id)
    unit.leases.announce_terms([customer_id])
    return after


def check_change(unit: UnitOfWork, *, change: TermsChange) -> None:
    """Check that the terms fit together at every instant from the change on.

    Raises:
        ValidationError: SUBSCRIPTION_TERMS_INVALID, one violation a mistake.
    """
    subscription = change.subscription
    customer = unit.customers.get(subscription.customer_id)
    if customer is None:
        raise customer_not_found(subscription.customer_id)
    surroundings = surroundings_of(unit, customer=customer)
    instants = {change.start, *(at for at in subscription.changes if at > change.start)}
    for at in sorted(instants):
        version = subscription.version_at(at)
        plan = unit.catalog.plan(subscription.plan_key, version=version)
        if plan is None:
            raise NotFoundError(
                reason="PLAN_VERSION_NOT_FOUND",
                message=f"plan {subscription.plan_key!r} has no version {version}",
            )
        check_terms_at(unit, subscription=subscription, plan=plan, at=at, surroundings=surroundings)


def surroundings_of(unit: UnitOfWork, *, customer: Customer) -> Surroundings:
    """Return the meters and the customer's own limits, which prices have to fit."""
    meters = {meter.key: meter for meter in unit.catalog.meters()}
    return Surroundings(meters, customer.limits or ())


def check_terms_at(
    unit: UnitOfWork,
    *,
    subscription: Subscription,
    plan: Plan,
    at: datetime,
    surroundings: Surroundings,
) -> None:
    """Check that a plan version fits what a subscription has at an instant.

    Args:
        unit: reads the add-ons.
        subscription: whose add-ons, overrides and quantities.
        plan: the version, which need not be written.
        at: the instant.
        surroundings: of the customer.

    Raises:
        ValidationError: SUBSCRIPTION_TERMS_INVALID, one violation a mistake.
    """
    attached = [
        addon
        for each in subscription.addons_at(at)
        if (addon := unit.catalog.addon(each.key, version=each.version)) is not None
    ]
    prices = [*plan.prices, *(price for addon in attached for price in addon.prices)]
    keys = {price.key for price in prices}
    overrides = {
        key: fields for key, fields in subscription.overrides_at(at).items() if key in keys
    }
    check_terms(
        plan,
        overrides=overrides,
        addons=attached,
        quantities=subscription.quantities,
        surroundings=surroundings,
        name=f"subscription {subscription.id}",
    )


def _check_invoiced(
    unit: UnitOfWork, *, before: Timeline, after: Timeline, start: datetime
) -> None:
    """Refuse a change that takes usage from an invoice of another subscription (R67)."""
    added = {meter for meter, _ in _matches(after) - _matches(before)}
    claim = find_invoiced_claim(unit, subscription=after.subscription, meters=added, start=start)
    if claim is not None:
        until = format_instant(claim.until)
        raise InvalidStateError(
            reason="USAGE_INVOICED",
            message=f"subscription {after.subscription.id!r}: {claim.subscription_id} has invoiced "
            f"usage of {', '.join(claim.meters)} until {until}; let the change take effect then",
            metadata={"subscription": after.subscription.id, "effective_min": until},
        )


def _matches(timeline: Timeline) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the meters and dimensions that a subscription charges, at any time."""
    return {
        (price.meter, tuple(sorted(price.where.items())))
        for phase in timeline.phases
        for price in phase.plan.usage_prices
    }


def effective_from_text(text: str) -> Effective:
    """Return when a change takes effect: `now`, `renewal` (or `period_end`), or an instant.

    Raises:
        ValidationError: EFFECTIVE_MALFORMED.
    """
    word = "renewal" if text == "period_end" else text
    if word in set(Moment):
        return Moment(word)
    try:
        return parse_instant(text)
    except ValidationError as error:
        raise ValidationError(
            reason="EFFECTIVE_MALFORMED",
            message=f"{text!r} is no time to take effect: write now, renewal or an instant such "
            "as 2026-03-01T00:00:00Z",
        ) from error
