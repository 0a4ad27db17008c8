"""Adding add-ons to running subscriptions, and removing them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing_server.domain.catalog.model import Addon
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import AttachedAddon, Subscription
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
from billing_server.services.unpriced_alerts import close_alerts_promptly
from metering.clock import format_instant
from metering.errors import InvalidStateError, NotFoundError
from metering.quantity import plain_decimal


def add_addon(
    context: ServiceContext,
    *,
    subscription_id: str,
    addon_key: str,
    effective: Effective = Moment.NOW,
    quantities: Mapping[str, Decimal] | None = None,
) -> Subscription:
    """Give a subscription the prices of an add-on, from an instant on, at its newest version.

    Args:
        context: the world.
        subscription_id: whose.
        addon_key: which add-on.
        effective: from when on.
        quantities: that its fees are for each unit of, unless they are set already.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND, ADDON_NOT_FOUND.
        InvalidStateError: ADDON_THERE_ALREADY, QUANTITY_SET_ALREADY, PERIOD_INVOICED,
            SUBSCRIPTION_ENDED, USAGE_INVOICED.
        ValidationError: SUBSCRIPTION_TERMS_INVALID, one violation a mistake.
    """
    with context.store.write() as unit:
        subscription = hold_subscription(unit, subscription_id=subscription_id)
        timeline = timeline_of(unit, subscription=subscription)
        start = effective_start(unit, context=context, timeline=timeline, effective=effective)
        changed = with_addon(subscription, addon=newest_addon(unit, key=addon_key), start=start)
        changed = with_quantities(changed, quantities=quantities or {})
        write_change(unit, context=context, before=timeline, change=TermsChange(changed, start))
    close_alerts_promptly(context, customer_id=changed.customer_id)
    return changed


def with_quantities(
    subscription: Subscription, *, quantities: Mapping[str, Decimal]
) -> Subscription:
    """Return a subscription with quantities that are not set yet.

    Raises:
        InvalidStateError: QUANTITY_SET_ALREADY.
    """
    for key, value in quantities.items():
        known = subscription.quantities.get(key, value)
        if known != value:
            raise InvalidStateError(
                reason="QUANTITY_SET_ALREADY",
                message=f"subscription {subscription.id!r} has {plain_decimal(known)} {key} "
                f"already, not {plain_decimal(value)}: leave {key} out; changing a quantity is "
                "not supported by this version yet",
            )
    return replace(subscription, quantities={**subscription.quantities, **quantities})


def with_addon(subscription: Subscription, *, addon: Addon, start: datetime) -> Subscription:
    """Return a subscription with an add-on in it.

    Raises:
        InvalidStateError: ADDON_THERE_ALREADY.
    """
    for each in subscription.addons:
        if each.key == addon.key and (each.end is None or each.end > start):
            raise InvalidStateError(
                reason="ADDON_THERE_ALREADY",
                message=f"subscription {subscription.id!r} has add-on {addon.key!r} since "
                f"{format_instant(each.start)}; remove it first",
            )
    attached = AttachedAddon(key=addon.key, version=addon.version, start=start)
    addons = sorted([*subscription.addons, attached], key=lambda each: (each.start, each.key))
    return replace(subscription, addons=tuple(addons))


def remove_addon(
    context: ServiceContext,
    *,
    subscription_id: str,
    addon_key: str,
    effective: Effective = Moment.RENEWAL,
) -> Subscription:
    """Take an add-on from a subscription; what was charged in advance is not given back.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND, ADDON_NOT_FOUND.
        InvalidStateError: PERIOD_INVOICED, SUBSCRIPTION_ENDED.
    """
    with context.store.write() as unit:
        subscription = hold_subscription(unit, subscription_id=subscription_id)
        timeline = timeline_of(unit, subscription=subscription)
        start = effective_start(unit, context=context, timeline=timeline, effective=effective)
        changed = without_addon(subscription, addon_key=addon_key, end=start)
        write_change(unit, context=context, before=timeline, change=TermsChange(changed, start))
    return changed


def without_addon(subscription: Subscription, *, addon_key: str, end: datetime) -> Subscription:
    """Return a subscription whose add-on ends at an instant.

    Raises:
        NotFoundError: ADDON_NOT_FOUND.
    """
    current = [
        each for each in subscription.addons if each.key == addon_key and each.applies_at(end)
    ]
    if not current:
        raise NotFoundError(
            reason="ADDON_NOT_FOUND",
            message=f"subscription {subscription.id!r} has no add-on {addon_key!r} at "
            f"{format_instant(end)}",
        )
    addons = tuple(
        replace(each, end=end) if each is current[-1] else each for each in subscription.addons
    )
    kept = tuple(each for each in addons if each.end is None or each.start < each.end)
    return replace(subscription, addons=kept)


def newest_addon(unit: UnitOfWork, *, key: str) -> Addon:
    """Return the newest version of an add-on.

    Raises:
        NotFoundError: ADDON_NOT_FOUND.
    """
    known = {addon.key: addon for addon in unit.catalog.latest_addons()}
    if key not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotFoundError(
            reason="ADDON_NOT_FOUND",
            message=f"there is no add-on {key!r}; known are: {names}",
        )
    return known[key]
