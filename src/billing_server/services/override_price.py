"""Overriding a price of a running subscription, from an instant on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from billing_server.domain.catalog.override import canonical_fields
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Override, Subscription
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.change_terms import (
    Effective,
    Moment,
    TermsChange,
    effective_start,
    hold_subscription,
    timeline_of,
    write_change,
)
from billing_server.services.context import ServiceContext
from billing_server.services.count_history import KeptEvents, keep_events
from billing_server.services.watch_quarantine import redrive_promptly
from metering.clock import format_instant
from metering.errors import NotFoundError


def override_price(
    context: ServiceContext,
    *,
    subscription_id: str,
    price: str,
    fields: Mapping[str, object],
    effective: Effective = Moment.NOW,
) -> Subscription:
    """Let some fields of a price differ for a subscription, from an instant on.

    Args:
        context: the world.
        subscription_id: whose.
        price: key of the price, of the plan or of an add-on.
        fields: in the form of a catalog file, in place of an earlier override; empty: none.
        effective: from when on.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND, PRICE_NOT_FOUND.
        ValidationError: OVERRIDE_INVALID or SUBSCRIPTION_TERMS_INVALID, one violation a mistake.
        InvalidStateError: PERIOD_INVOICED, SUBSCRIPTION_ENDED, USAGE_INVOICED.
    """
    with context.store.write() as unit:
        unit.catalog.lock()
        subscription = hold_subscription(unit, subscription_id=subscription_id)
        timeline = timeline_of(unit, subscription=subscription)
        start = effective_start(unit, context=context, timeline=timeline, effective=effective)
        changed = with_override(timeline, price=price, fields=fields, start=start)
        kept = keep_events_of(unit, subscription=changed)
        write_change(unit, context=context, before=timeline, change=TermsChange(changed, start))
    if kept is KeptEvents.MORE:
        redrive_promptly(context.store, customer_id=changed.customer_id)
    return changed


def keep_events_of(unit: UnitOfWork, *, subscription: Subscription) -> KeptEvents:
    """Let meters keep single events where an override makes a price of one rated by event.

    Args:
        unit: holds the catalog.
        subscription: with the override, which need not be written.
    """
    timeline = timeline_of(unit, subscription=subscription)
    return keep_events(
        unit, prices=[price for phase in timeline.phases for price in phase.plan.usage_prices]
    )


def with_override(
    timeline: Timeline, *, price: str, fields: Mapping[str, object], start: datetime
) -> Subscription:
    """Return a subscription with an override in it, in canonical writing.

    Raises:
        NotFoundError: PRICE_NOT_FOUND.
        ValidationError: OVERRIDE_INVALID.
    """
    subscription = timeline.subscription
    found = next((each for each in timeline.plan_at(start).prices if each.key == price), None)
    if found is None:
        known = ", ".join(each.key for each in timeline.plan_at(start).prices)
        raise NotFoundError(
            reason="PRICE_NOT_FOUND",
            message=f"subscription {subscription.id!r} has no price {price!r} at "
            f"{format_instant(start)}; known are: {known}",
        )
    written = canonical_fields(found, fields=fields) if fields else {}
    kept = [each for each in subscription.overrides if (each.price, each.start) != (price, start)]
    override = Override(start=start, price=price, fields=written)
    overrides = sorted([*kept, override], key=lambda each: (each.start, each.price))
    return replace(subscription, overrides=tuple(overrides))
