"""What changes in a running subscription, on both databases."""

import pytest

from billing_server.services.change_addons import add_addon, remove_addon
from billing_server.services.change_terms import (
    Moment,
    effective_from_text,
    override_price,
)
from billing_server.services.context import ServiceContext
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import InvalidStateError, NotFoundError, ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context

ADDONS = """
addons:
  - key: support
    prices:
      - {key: help, name: Help, kind: recurring, amount: "28.00"}
      - {key: small, kind: usage, meter: tokens, where: {model: small}, model: per_unit,
         unit_price: "0.001"}
  - {key: seats, prices: [{key: seats, kind: recurring, amount: "10", per_unit: seats}]}
"""


def world(store: SqlStore) -> ServiceContext:
    context = make_context(store)
    apply(context, CATALOG + ADDONS)
    return context


def amounts(context: ServiceContext) -> list[tuple[str, int, str]]:
    draft = upcoming_invoice(context, customer_id="acme")
    return [(line["price"], line["segment"], line["amount"]) for line in draft["lines"]]


def test_r17_an_override_prices_the_usage_after_it_anew_and_leaves_the_usage_before(
    store: SqlStore,
) -> None:
    context = world(store)
    usage = Usage(context)
    # 31 January 10:00 to 28 February 10:00: 28 days; the override comes after 14 of them.
    usage.send("1500", at="2026-02-05T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-14T10:00:20Z"))
    usage.send("1500", at="2026-02-14T10:00:05Z")
    fields = {"unit_price": "0.020"}
    changed = override_price(context, subscription_id="sub-1", price="tokens", fields=fields)
    assert [(each.price, each.fields) for each in changed.overrides] == [
        ("tokens", {"unit_price": "0.02"})
    ]
    usage.send("1500", at="2026-02-14T10:00:10Z")
    # Each half has 500 included: 1,000 × 0.01; 2,500 × 0.02, from the minute of the override on.
    assert amounts(context) == [
        ("base", 0, "20.00"),
        ("tokens", 0, "10.00"),
        ("tokens", 1, "50.00"),
    ]
    override_price(context, subscription_id="sub-1", price="tokens", fields={})
    # One segment again: 4,500 − 1,000 included.
    assert amounts(context)[1:] == [("tokens", 0, "35.00")]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2026-02-27T00:00:00Z", "PERIOD_INVOICED"),
        ("2026-02-28T10:00:00Z", None),
        ("2026-06-01T00:00:00Z", None),
    ],
)
def test_r66_a_change_takes_effect_in_open_periods_only(
    store: SqlStore, at: str, reason: str | None
) -> None:
    context = world(store)
    advance_clock(context, to=parse_instant("2026-03-05T00:00:00Z"))

    def change() -> None:
        override_price(
            context,
            subscription_id="sub-1",
            price="base",
            fields={"amount": "1"},
            effective=parse_instant(at),
        )

    if reason is None:
        change()
        assert show_subscription(context, subscription_id="sub-1").overrides[0].start == (
            parse_instant(at)
        )
        return
    with pytest.raises(InvalidStateError) as refused:
        change()
    assert refused.value.reason == reason


def test_what_is_not_there_is_named(store: SqlStore) -> None:
    context = world(store)
    for call, reason in (
        (
            lambda: add_addon(context, subscription_id="no", addon_key="support"),
            "SUBSCRIPTION_NOT_FOUND",
        ),
        (lambda: add_addon(context, subscription_id="sub-1", addon_key="no"), "ADDON_NOT_FOUND"),
        (
            lambda: remove_addon(context, subscription_id="sub-1", addon_key="support"),
            "ADDON_NOT_FOUND",
        ),
        (
            lambda: override_price(context, subscription_id="sub-1", price="no", fields={}),
            "PRICE_NOT_FOUND",
        ),
    ):
        with pytest.raises(NotFoundError) as missing:
            call()
        assert missing.value.reason == reason
    add_addon(context, subscription_id="sub-1", addon_key="support")
    with pytest.raises(InvalidStateError, match="remove it first"):
        add_addon(context, subscription_id="sub-1", addon_key="support")


def test_the_time_of_effect_is_a_word_or_an_instant() -> None:
    assert effective_from_text("now") is Moment.NOW
    assert effective_from_text("period_end") is Moment.RENEWAL
    assert effective_from_text("2026-03-01T00:00:00Z") == parse_instant("2026-03-01T00:00:00Z")
    with pytest.raises(ValidationError, match="write now, renewal or an instant"):
        effective_from_text("tomorrow")
