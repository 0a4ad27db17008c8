"""Moving subscriptions onto another version of their plan, on both databases."""

import pytest

from billing_server.services.change_terms import Moment
from billing_server.services.context import ServiceContext
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.move_version import (
    MoveMode,
    MoveWish,
    VersionMoved,
    move_version,
    move_versions,
)
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import InvalidStateError, NotFoundError
from metering.money import Money
from tests.billing_server.world import CATALOG, Usage, apply, make_context

DEARER = CATALOG.replace('unit_price: "0.01"', 'unit_price: "0.02"').replace('"20.00"', '"25.00"')
NOW = MoveWish(version=2, effective=Moment.NOW)


def world(store: SqlStore) -> ServiceContext:
    """Returns a server with a second version, 14 of 28 days into the period."""
    context = make_context(store)
    apply(context, CATALOG)
    apply(context, DEARER)
    usage = Usage(context)
    usage.send("1500", at="2026-02-05T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    return context


def shown(moved: VersionMoved) -> tuple[int, int, Money | None, Money | None]:
    return moved.from_version, moved.to_version, moved.before, moved.after


def test_r37_a_subscription_stays_on_its_version_until_it_is_moved(store: SqlStore) -> None:
    context = world(store)
    assert upcoming_invoice(context, customer_id="acme")["total"] == "25.00"


def test_a_preview_tells_what_will_be_paid_and_changes_nothing(store: SqlStore) -> None:
    context = world(store)
    found = move_version(context, subscription_id="sub-1", wish=NOW, mode=MoveMode.PREVIEW)
    # Before: 20.00 + 500 × 0.01 = 25.00. After: 25.00 in advance for March + 1,000 × 0.01 (half of
    # the 1,000 are included in each half) = 35.00.
    assert shown(found) == (1, 2, Money(2500, "USD"), Money(3500, "USD"))
    assert show_subscription(context, subscription_id="sub-1").moves == ()
    assert upcoming_invoice(context, customer_id="acme")["total"] == "25.00"


def test_r17_a_move_now_begins_a_segment_and_costs_what_the_preview_said(store: SqlStore) -> None:
    context = world(store)
    moved = move_version(context, subscription_id="sub-1", wish=NOW)
    assert moved.start == parse_instant("2026-02-14T10:00:00Z")
    draft = upcoming_invoice(context, customer_id="acme")
    assert moved.after is not None
    assert draft["total"] == moved.after.decimal_string() == "35.00"
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    assert show_subscription(context, subscription_id="sub-1").version_at(context.clock.now()) == 2


def test_a_move_at_renewal_leaves_the_running_period_and_shows_what_the_same_usage_will_cost(
    store: SqlStore,
) -> None:
    context = world(store)
    moved = move_version(context, subscription_id="sub-1", wish=MoveWish(version=2))
    assert moved.start == parse_instant("2026-02-28T10:00:00Z")
    # As if version 2 held the whole period: 25.00 + 500 × 0.02 = 35.00.
    assert shown(moved) == (1, 2, Money(2500, "USD"), Money(3500, "USD"))
    # The period itself keeps 5.00 of usage; the fee in advance is the next period's.
    assert upcoming_invoice(context, customer_id="acme")["total"] == "30.00"


def test_r52_a_new_move_replaces_the_pending_one(store: SqlStore) -> None:
    context = world(store)
    move_version(context, subscription_id="sub-1", wish=MoveWish(version=2))
    back = MoveWish(version=1, effective=Moment.NOW)
    move_version(context, subscription_id="sub-1", wish=back)
    moves = show_subscription(context, subscription_id="sub-1").moves
    assert [move.version for move in moves] == [1]
    assert upcoming_invoice(context, customer_id="acme")["total"] == "25.00"


def test_all_of_a_plan_are_moved_and_one_that_cannot_is_told_and_holds_up_no_other(
    store: SqlStore,
) -> None:
    context = world(store)
    apply(
        context,
        """
customers: [{id: other, currency: USD}]
subscriptions:
  - {id: own, customer: other, plan: pro, overrides: {tokens: {included: "5"}}}
""",
    )
    yearly = DEARER.replace("billing_period: month", "billing_period: year")
    apply(context, yearly)
    refused = move_versions(context, plan_key="pro", wish=MoveWish(version=3))
    assert [(each.subscription_id, (each.refusal or "")[:22]) for each in refused.results] == [
        ("own", "BILLING_PERIOD_CHANGES"),
        ("sub-1", "BILLING_PERIOD_CHANGES"),
    ]
    preview = move_versions(context, plan_key="pro", wish=NOW, mode=MoveMode.PREVIEW)
    assert [each.refusal for each in preview.results] == [None]
    moved = move_versions(context, plan_key="pro", wish=NOW)
    # `own` started on version 2 already.
    assert [each.subscription_id for each in moved.results] == ["sub-1"]
    assert moved.next_after is None
    assert move_versions(context, plan_key="pro", wish=NOW).results == ()


def test_some_of_a_plan_are_chosen_by_id(store: SqlStore) -> None:
    context = world(store)
    chosen = move_versions(context, plan_key="pro", wish=NOW, subscription_ids=["nobody"])
    assert chosen.results == ()


def test_a_version_that_is_not_there_is_named(store: SqlStore) -> None:
    context = world(store)
    with pytest.raises(NotFoundError, match="its versions are 1 to 2"):
        move_version(context, subscription_id="sub-1", wish=MoveWish(version=7))
    with pytest.raises(NotFoundError, match="there is no subscription"):
        move_version(context, subscription_id="no", wish=NOW, mode=MoveMode.PREVIEW)
    apply(context, DEARER.replace("anchor: anniversary", "anchor: calendar"))
    with pytest.raises(InvalidStateError, match="another billing period"):
        move_version(context, subscription_id="sub-1", wish=MoveWish(version=3))
