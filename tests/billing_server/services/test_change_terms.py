"""What changes in a running subscription, on both databases."""

import pytest

from billing_server.services.change_addons import add_addon, remove_addon
from billing_server.services.change_terms import Moment, effective_from_text
from billing_server.services.context import ServiceContext
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.override_price import override_price
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


LIMITED = """
plans:
  - key: pro
    currency: USD
    effective_from: 2026-01-31T10:00:00Z
    prices: [{key: tokens, kind: usage, meter: tokens, model: per_unit, unit_price: "0.01"}]
    limits:
      - {key: cap, amount: "9.00", window: billing_period}
"""


def test_r92_a_change_of_terms_is_told_to_agents_and_settles_what_it_prices_anew(
    memory_store: SqlStore,
) -> None:
    """A cap on money counts what the usage of the period costs now, not what it cost before."""
    context = make_context(memory_store)
    apply(context, LIMITED + CATALOG.replace("plans:", "p:").split("p:")[0])
    apply(
        context,
        "customers: [{id: acme}]\n"
        "subscriptions: [{id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}]",
    )
    Usage(context).send("500", at="2026-01-31T10:00:10Z")
    heard: list[str] = []
    memory_store.news.listen(heard.append)
    fields = {"unit_price": "0.002"}
    override_price(context, subscription_id="sub-1", price="tokens", fields=fields)
    assert heard
    with memory_store.read() as unit:
        (account,) = unit.limits.accounts("acme")
    # 500 × 0.002 in micro-units of the currency; 5.00 before.
    assert account.settled == 1_000_000
