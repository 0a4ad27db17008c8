"""Starting subscriptions: on the plan version on offer at the start, from a whole minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing_server.domain.catalog.model import Plan, SubscriptionEntry
from billing_server.domain.catalog.override import canonical_fields
from billing_server.domain.catalog.places import Refusal
from billing_server.domain.catalog.terms import check_terms
from billing_server.domain.invoice.fees import fees_due
from billing_server.domain.ports.customers import (
    BillingPeriodState,
    StartInvoice,
    SubscriptionPeriod,
)
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import AttachedAddon, Customer, Override, Subscription
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.change_addons import newest_addon
from billing_server.services.change_terms import surroundings_of
from billing_server.services.context import ServiceContext
from billing_server.services.count_history import keep_events
from billing_server.services.customer_terms import load_timeline
from billing_server.services.follow_limits import limits_following
from billing_server.services.invoiced_usage import find_invoiced_claim, meters_of
from billing_server.services.not_found import customer_not_found, plan_not_found
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.run_due_work import invoice_starts
from billing_server.services.unpriced_alerts import close_alerts_promptly
from billing_server.services.watch_quarantine import redrive_promptly
from metering.clock import floor_to_minute, format_instant
from metering.errors import (
    AlreadyExistsError,
    FieldViolation,
    InvalidStateError,
    ValidationError,
)

DISTANCE_MAX = timedelta(days=3653)
"""How far a start or anchor may lie from now: ten years. Beyond it stands a mistyped year, which
would be followed by an invoice for each period since."""

START_BACK_MAX = timedelta(days=400)
"""How far back a start may lie: a year of periods and some. All of them are invoiced at once, and
an issued invoice is never taken back."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What starting a subscription came to."""

    subscription: Subscription
    """As it is kept."""
    is_new: bool
    """False where the same subscription was there already."""


def create_subscription(context: ServiceContext, *, entry: SubscriptionEntry) -> Subscribed:
    """Start a subscription; the same subscription again is no change.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND or PLAN_NOT_FOUND.
        AlreadyExistsError: SUBSCRIPTION_EXISTS, one of this id differs; names the field.
        InvalidStateError: CURRENCY_MISMATCH (R73), or USAGE_INVOICED: it would charge usage that
            stands on an invoice of another subscription.
        ValidationError: INSTANT_OUT_OF_RANGE, START_TOO_FAR_BACK.
    """
    with context.store.write() as unit:
        unit.catalog.lock()
        subscribed = put_subscription(unit, context=context, entry=entry)
        unit.leases.announce_terms([entry.customer_id])
    if entry.overrides:
        # A price that looks at single events may read a quantity that no meter does.
        redrive_promptly(context.store, customer_id=entry.customer_id)
    invoice_starts(context, subscription_ids=[entry.id])
    close_alerts_promptly(context, customer_id=entry.customer_id)
    return subscribed


def put_subscription(
    unit: UnitOfWork, *, context: ServiceContext, entry: SubscriptionEntry
) -> Subscribed:
    """Write a subscription inside a unit of work that holds the catalog."""
    known = unit.subscriptions.get(entry.id)
    if known is not None:
        check_same_subscription(known, entry=_in_canonical_writing(unit, known=known, entry=entry))
        return Subscribed(known, is_new=False)
    customer = unit.customers.get(entry.customer_id)
    if customer is None:
        raise customer_not_found(entry.customer_id)
    unit.customers.lock([customer.id])
    now = context.clock.now()
    _check_distance(entry, now=now)
    start = floor_to_minute(entry.start or now)
    plan = plan_on_offer(unit.catalog.plan_versions(entry.plan_key), at=start)
    if plan is None:
        raise plan_not_found(entry.plan_key)
    customer = _settle_currency(unit, customer=customer, plan=plan, now=now)
    subscription = _subscription_of(unit, entry=entry, plan=plan, start=start, customer=customer)
    timeline = load_timeline(unit, subscription=subscription, customer=customer)
    keep_events(unit, prices=timeline.phases[0].plan.usage_prices)
    _check_invoiced(unit, timeline=timeline)
    _write(unit, timeline=timeline, now=now)
    if unit.usage.usage_span(customer.id) is not None:
        # What it charges of usage that came before it counts against the limits that run.
        with limits_following(unit, customer_id=customer.id, now=now):
            rebuild_running_charges(unit, customer_id=customer.id)
    return Subscribed(subscription, is_new=True)


def _subscription_of(
    unit: UnitOfWork,
    *,
    entry: SubscriptionEntry,
    plan: Plan,
    start: datetime,
    customer: Customer,
) -> Subscription:
    """Return the subscription that an entry asks for, once its terms fit together."""
    addons = [newest_addon(unit, key=key) for key in entry.addons]
    check_terms(
        plan,
        overrides=entry.overrides,
        addons=addons,
        quantities=entry.quantities,
        surroundings=surroundings_of(unit, customer=customer),
        name=f"subscription {entry.id}",
    )
    added = [price for addon in addons for price in addon.prices]
    prices = {price.key: price for price in (*plan.prices, *added)}
    return Subscription(
        id=entry.id,
        customer_id=entry.customer_id,
        plan_key=plan.key,
        plan_version=plan.version,
        start=start,
        anchor=None if entry.anchor is None else floor_to_minute(entry.anchor),
        quantities=dict(entry.quantities),
        overrides=tuple(
            Override(start=start, price=key, fields=canonical_fields(prices[key], fields=fields))
            for key, fields in sorted(entry.overrides.items())
        ),
        addons=tuple(
            AttachedAddon(key=addon.key, version=addon.version, start=start) for addon in addons
        ),
    )


def distance_refusal(entry: SubscriptionEntry, *, now: datetime) -> Refusal | None:
    """Return why a start or an anchor lies too far away; None: they do not."""
    for field, instant in (("start", entry.start), ("anchor", entry.anchor)):
        if instant is not None and abs(instant - now) > DISTANCE_MAX:
            problem = f"{format_instant(instant)} is more than ten years from now: correct the year"
            return Refusal("subscriptions", entry.id, field, problem, "INSTANT_OUT_OF_RANGE")
    if entry.start is not None and now - entry.start > START_BACK_MAX:
        problem = (
            f"{format_instant(entry.start)} lies more than {START_BACK_MAX.days} days back; every "
            "period since would be invoiced at once: name a later start, and an anchor where its "
            "periods are to keep their days"
        )
        return Refusal("subscriptions", entry.id, "start", problem, "START_TOO_FAR_BACK")
    return None


def _check_distance(entry: SubscriptionEntry, *, now: datetime) -> None:
    found = distance_refusal(entry, now=now)
    if found is not None:
        raise ValidationError(
            reason=found.reason,
            message=f"subscription {entry.id!r}: {found.field}: {found.problem}",
            metadata={"subscription": entry.id, "field": found.field},
            violations=[FieldViolation(found.field, found.problem, found.reason)],
        )


def _check_invoiced(unit: UnitOfWork, *, timeline: Timeline) -> None:
    """Refuse a start before usage that another subscription has invoiced: it would stand twice."""
    subscription = timeline.subscription
    claim = find_invoiced_claim(
        unit,
        subscription=subscription,
        meters=meters_of(timeline.phases[0].plan.usage_prices),
        start=subscription.start,
    )
    if claim is None:
        return
    until = format_instant(claim.until)
    raise InvalidStateError(
        reason="USAGE_INVOICED",
        message=f"subscription {subscription.id!r}: start: {claim.subscription_id} has invoiced "
        f"usage of {', '.join(claim.meters)} until {until}; start this one at or after {until}",
        metadata={"subscription": subscription.id, "field": "start", "start_min": until},
    )


def _write(unit: UnitOfWork, *, timeline: Timeline, now: datetime) -> None:
    subscription = timeline.subscription
    start = subscription.start
    is_due = bool(fees_due(timeline, start=start, until=start))
    unit.subscriptions.add(
        subscription,
        create_time=now,
        start_invoice=StartInvoice.DUE if is_due else StartInvoice.NOT_DUE,
    )
    unit.billing_periods.add(
        SubscriptionPeriod(
            subscription_id=subscription.id,
            customer_id=subscription.customer_id,
            period=timeline.first_period(),
            state=BillingPeriodState.RUNNING,
            has_late_usage=False,
        )
    )
    unit.customers.advance_revision(subscription.customer_id)


def plan_on_offer(versions: Sequence[Plan], *, at: datetime) -> Plan | None:
    """Return the newest version in force at an instant, or the first where none was yet.

    Args:
        versions: of one plan, oldest first.
        at: start of a subscription.
    """
    in_force = [
        plan for plan in versions if plan.effective_from is None or plan.effective_from <= at
    ]
    if in_force:
        return in_force[-1]
    return versions[0] if versions else None


def _in_canonical_writing(
    unit: UnitOfWork, *, known: Subscription, entry: SubscriptionEntry
) -> SubscriptionEntry:
    """Return an entry whose overrides can be compared with those that a subscription started with.

    One of a price that it did not have is left as it is written: it differs in any case.
    """
    plan = unit.catalog.plan(known.plan_key, version=known.plan_version)
    prices = {} if plan is None else {price.key: price for price in plan.prices}
    for attached in known.addons_at(known.start):
        addon = unit.catalog.addon(attached.key, version=attached.version)
        prices |= {} if addon is None else {price.key: price for price in addon.prices}
    overrides = {
        key: canonical_fields(prices[key], fields=fields) if key in prices else dict(fields)
        for key, fields in entry.overrides.items()
    }
    return replace(entry, overrides=overrides)


def check_same_subscription(known: Subscription, *, entry: SubscriptionEntry) -> None:
    """Refuse a subscription whose id is taken by another one.

    What is not named is that of the subscription that is there. Overrides and add-ons are compared
    with those that it started with, so that a call that is repeated later is the same.

    Raises:
        AlreadyExistsError: SUBSCRIPTION_EXISTS, naming the field.
    """
    wanted_start = known.start if entry.start is None else floor_to_minute(entry.start)
    wanted_anchor = known.anchor if entry.anchor is None else floor_to_minute(entry.anchor)
    overrides = known.overrides_at(known.start)
    addons = sorted(addon.key for addon in known.addons_at(known.start))
    for field, is_value, wanted in (
        ("customer", known.customer_id, entry.customer_id),
        ("plan", known.plan_key, entry.plan_key),
        ("start", format_instant(known.start), format_instant(wanted_start)),
        ("anchor", known.anchor, wanted_anchor),
        ("quantities", known.quantities, entry.quantities or known.quantities),
        ("overrides", overrides, entry.overrides or overrides),
        ("addons", addons, sorted(entry.addons) or addons),
    ):
        if is_value != wanted:
            raise AlreadyExistsError(
                reason="SUBSCRIPTION_EXISTS",
                message=f"subscription {known.id!r} is there already, and its {field} is "
                f"{_shown(is_value)}, not {_shown(wanted)}: use another id, or change the one that "
                "is there (move-version, override, add-addon)",
                metadata={"subscription": known.id, "field": field},
            )


def _shown(value: object) -> str:
    """Return a value as a person would write it."""
    match value:
        case datetime():
            return format_instant(value)
        case Mapping():
            inner = ", ".join(f"{name}: {_shown(each)}" for name, each in value.items())
            return f"{{{inner}}}"
        case list():
            return ", ".join(map(str, value)) or "none"
        case None:
            return "none"
        case _:
            return str(value)


def _settle_currency(
    unit: UnitOfWork, *, customer: Customer, plan: Plan, now: datetime
) -> Customer:
    if customer.currency is None:
        customer = replace(customer, currency=plan.currency)
        unit.customers.update(customer, update_time=now)
    elif customer.currency != plan.currency:
        raise InvalidStateError(
            reason="CURRENCY_MISMATCH",
            message=f"plan {plan.key!r} is in {plan.currency} and customer {customer.id!r} pays "
            f"in {customer.currency}: choose a plan in {customer.currency} (R73)",
        )
    return customer
