"""Moving subscriptions onto another version of their plan, on both databases."""

import pytest

from billing_server.services.change_terms import Effective, Moment
from billing_server.services.context import ServiceContext
from billing_server.services.lease_terms import tell_terms
from billing_server.services.limit_book import LimitBook
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
from metering.errors import InvalidStateError, MeteringError, NotFoundError
from metering.money import Money
from tests.billing_server.meters import Sender
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


def test_some_of_a_plan_are_chosen_by_id_and_a_wrong_id_moves_none(memory_store: SqlStore) -> None:
    context = world(memory_store)
    other = 'plans: [{key: max, currency: USD, prices: [{key: b, kind: recurring, amount: "1"}]}]'
    apply(context, other + "\nsubscriptions: [{id: sub-2, customer: acme, plan: max}]")
    for wrong, reason in (("nobody", "SUBSCRIPTION_NOT_FOUND"), ("sub-2", "ON_OTHER_PLAN")):
        with pytest.raises(MeteringError, match=wrong) as refused:
            move_versions(context, plan_key="pro", wish=NOW, subscription_ids=["sub-1", wrong])
        assert refused.value.reason.endswith(reason)
    chosen = move_versions(context, plan_key="pro", wish=NOW, subscription_ids=["sub-1"])
    assert [(each.subscription_id, each.refusal) for each in chosen.results] == [("sub-1", None)]


def test_a_version_that_is_not_there_is_named(store: SqlStore) -> None:
    context = world(store)
    with pytest.raises(NotFoundError, match="its versions are 1 to 2"):
        move_version(context, subscription_id="sub-1", wish=MoveWish(version=7))
    with pytest.raises(NotFoundError, match="there is no subscription"):
        move_version(context, subscription_id="no", wish=NOW, mode=MoveMode.PREVIEW)
    apply(context, DEARER.replace("anchor: anniversary", "anchor: calendar"))
    with pytest.raises(InvalidStateError, match="another billing period"):
        move_version(context, subscription_id="sub-1", wish=MoveWish(version=3))


GROUPED = """
meters: [{key: calls, aggregation: sum}, {key: paid, aggregation: sum, decimals: 2}]
plans:
  - key: pro
    currency: USD
    prices:
      - {key: calls, kind: usage, meter: calls, group_by: [project], model: graduated,
         tiers: [{up_to: "10", unit_price: "1"}, {unit_price: "0.5"}]}
      - {key: fees, kind: usage, meter: paid, model: percentage, rate: "0.01",
         fixed_per_event: "0.30"}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}]
"""


@pytest.mark.parametrize("tiers", ["shared", "per_group"])
@pytest.mark.parametrize("effective", [Moment.NOW, parse_instant("2026-01-31T10:00:00Z")])
def test_a_preview_of_groups_and_of_prices_by_event_is_what_is_paid_then(
    memory_store: SqlStore, tiers: str, effective: Effective
) -> None:
    context = make_context(memory_store)
    grouped = GROUPED.replace("[project]", f"{{dimensions: [project], tiers: {tiers}}}")
    apply(context, grouped)
    apply(context, grouped.replace('"0.5"', '"0.25"').replace('"0.30"', '"0.10"'))
    sender = Sender(context)
    for number, project in enumerate(("a", "a", "b")):
        at = f"2026-02-0{number + 1}T00:00:00Z"
        sender.send({"calls": "8", "paid": "50"}, at=at, project=project)
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    wish = MoveWish(version=2, effective=effective)
    told = move_version(context, subscription_id="sub-1", wish=wish, mode=MoveMode.PREVIEW)
    # Shared: 10 + 14 × 0.5; by group: 10 + 6 × 0.5, and 8; three fees of 0.30 + 1 % of 50 each.
    before = 1700 + 240 if tiers == "shared" else 1300 + 800 + 240
    # Moved from the start on: 0.25 and 0.10; from now on, nothing of it is touched.
    after = 1350 + 180 if tiers == "shared" else 1150 + 800 + 180
    assert told.before == Money(before, "USD")
    assert told.after == Money(before if effective is Moment.NOW else after, "USD")
    move_version(context, subscription_id="sub-1", wish=wish)
    draft = upcoming_invoice(context, customer_id="acme")
    assert draft["total"] == told.after.decimal_string()


def test_limits_follow_a_moved_version_at_its_time(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    limited = CATALOG.replace(
        "customers:",
        '    limits: [{key: daily, meter: tokens, window: day, max: "5"}]\ncustomers:',
    )
    apply(context, limited)
    apply(context, limited.replace('max: "5"', 'max: "9"').replace('"20.00"', '"25.00"'))

    def maximum() -> int:
        with memory_store.read() as unit:
            found = tell_terms(unit, book=book, customer_ids=["acme"], now=context.clock.now())
        return found["acme"].limits[0].maximum

    book = LimitBook()
    assert maximum() == 5
    move_version(context, subscription_id="sub-1", wish=MoveWish(version=2))
    assert maximum() == 5
    advance_clock(context, to=parse_instant("2026-02-28T10:00:00Z"))
    assert maximum() == 9


def test_a_preview_counts_late_usage_as_the_upcoming_invoice_does_and_looks_past_the_renewal(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    apply(context, DEARER)
    usage = Usage(context)
    usage.send("1500", at="2026-02-05T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-05T00:00:00Z"))
    usage.send("100", at="2026-02-20T00:00:00Z")
    usage.send("1100", at="2026-03-04T00:00:00Z")
    wish = MoveWish(version=2, effective=parse_instant("2026-06-15T00:00:00Z"))
    told = move_version(context, subscription_id="sub-1", wish=wish, mode=MoveMode.PREVIEW)
    # 20.00 in advance, 100 × 0.01 late, 100 × 0.01; on version 2, 25.00 and 100 × 0.02.
    assert shown(told) == (1, 2, Money(2200, "USD"), Money(2800, "USD"))
    draft = upcoming_invoice(context, customer_id="acme")
    assert told.before is not None
    assert draft["total"] == told.before.decimal_string()
