"""A catalog file that says other overrides or add-ons of a running subscription."""

from billing_server.domain.catalog.model import SubscriptionEntry
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.change_addons import (
    newest_addon,
    with_addon,
    with_quantities,
    without_addon,
)
from billing_server.services.change_terms import (
    Moment,
    TermsChange,
    effective_start,
    hold_subscription,
    timeline_of,
    write_change,
)
from billing_server.services.context import ServiceContext
from billing_server.services.override_price import keep_events_of, with_override


def follow_entry(unit: UnitOfWork, *, context: ServiceContext, entry: SubscriptionEntry) -> None:
    """Make overrides and add-ons of a subscription equal to a catalog file, from now on.

    Quantities that are not set yet, such as those of a new add-on, are set.

    Args:
        unit: holds the catalog.
        context: the world.
        entry: all that the subscription is to have.

    Raises:
        ValidationError: SUBSCRIPTION_TERMS_INVALID.
        InvalidStateError: SUBSCRIPTION_ENDED, USAGE_INVOICED.
    """
    subscription = hold_subscription(unit, subscription_id=entry.id)
    before = timeline_of(unit, subscription=subscription)
    start = effective_start(unit, context=context, timeline=before, effective=Moment.NOW)
    subscription = with_quantities(subscription, quantities=entry.quantities)
    has = {addon.key for addon in subscription.addons_at(start)}
    for key in sorted(has - set(entry.addons)):
        subscription = without_addon(subscription, addon_key=key, end=start)
    for key in sorted(set(entry.addons) - has):
        subscription = with_addon(subscription, addon=newest_addon(unit, key=key), start=start)
    known = subscription.overrides_at(start)
    for price in sorted(known.keys() | entry.overrides.keys()):
        fields = entry.overrides.get(price, {})
        if fields != known.get(price, {}):
            timeline = timeline_of(unit, subscription=subscription)
            subscription = with_override(timeline, price=price, fields=fields, start=start)
    keep_events_of(unit, subscription=subscription)
    write_change(unit, context=context, before=before, change=TermsChange(subscription, start))
