"""Subscriptions are listed by id and shown with their running period."""

import pytest

from billing_server.services.list_subscriptions import (
    current_period,
    list_subscriptions,
    rating_failed_reason,
    show_subscription,
)
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, apply, make_context


def test_subscriptions_are_listed_for_one_customer_or_all(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    assert [each.id for each in list_subscriptions(context, page=PageRequest()).entries] == [
        "sub-1"
    ]
    of_nobody = list_subscriptions(context, page=PageRequest(), customer_id="nobody")
    assert of_nobody.entries == ()
    with pytest.raises(NotFoundError):
        show_subscription(context, subscription_id="nothing")


def test_the_running_period_is_that_of_the_present_instant(store: SqlStore) -> None:
    """R4: 31 January, 28 February, 31 March."""
    context = make_context(store, start="2026-01-30T00:00:00Z")
    apply(context, CATALOG)
    subscription = show_subscription(context, subscription_id="sub-1")
    assert current_period(context, subscription=subscription) is None
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant("2026-03-01T00:00:00Z"))
    period = current_period(context, subscription=subscription)
    assert period is not None
    assert period.start == parse_instant("2026-02-28T10:00:00Z")
    assert period.end == parse_instant("2026-03-31T10:00:00Z")


def test_a_subscription_that_cannot_be_rated_says_why(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    subscription = show_subscription(context, subscription_id="sub-1")
    assert rating_failed_reason(context, subscription=subscription) is None
    with store.write() as unit:
        unit.usage.set_rating_failed("sub-1", reason="broken")
    assert rating_failed_reason(context, subscription=subscription) == "broken"
