"""Overriding a price of a running subscription, on both databases."""

from billing_server.services.context import ServiceContext
from billing_server.services.explain_invoice import DocumentRef, explain_invoice
from billing_server.services.move_clock import advance_clock
from billing_server.services.override_price import override_price
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.services.verify_usage import verify_usage
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def amounts(context: ServiceContext) -> list[tuple[str, int, str]]:
    draft = upcoming_invoice(context, customer_id="acme")
    return [(line["price"], line["segment"], line["amount"]) for line in draft["lines"]]


def test_r17_an_override_prices_the_usage_after_it_anew_and_leaves_the_usage_before(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
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


def test_r17_usage_between_two_changes_on_one_day_is_charged_up_to_a_maximum_by_the_second(
    store: SqlStore,
) -> None:
    """By days 14 of 28, none (7 of 672 hours) and 14; at most 96.00 a period."""
    context = make_context(store)
    with_maximum = CATALOG.replace('unit_price: "0.01"', 'unit_price: "0.01", maximum: "96"')
    apply(
        context, with_maximum.replace("currency: USD\n", "currency: USD\n    proration: day\n", 1)
    )
    usage = Usage(context)
    usage.send("1500", at="2026-02-05T00:00:00Z")
    for at, unit_price in (("2026-02-14T11:00:00Z", "0.02"), ("2026-02-14T18:00:00Z", "0.03")):
        advance_clock(context, to=parse_instant(at))
        fields = {"unit_price": unit_price}
        override_price(context, subscription_id="sub-1", price="tokens", fields=fields)
        usage.send("30", at=at)
    # Nothing is included in no day: 30 × 0.02. On the last 14 days the 30 are.
    assert amounts(context)[1:] == [
        ("tokens", 0, "10.00"),
        ("tokens", 1, "0.60"),
        ("tokens", 2, "0.00"),
    ]
    usage.send("100", at="2026-02-14T17:59:59Z")
    assert amounts(context)[2] == ("tokens", 1, "1.00")
    terms = explain_invoice(context, document=DocumentRef(customer_id="acme"))["lines"][2]["terms"]
    assert terms["share"] == {"numerator": 0, "denominator": 1}
    assert terms["maximum_share"] == {"numerator": 1, "denominator": 96}
    assert verify_usage(store).difference_count == 0


def test_r17_another_name_or_cost_charges_nothing_else_and_stands_on_the_whole_line(
    memory_store: SqlStore,
) -> None:
    """Graduated: 100 × 1.00 and 100 × 0.50, not twice 100 × 1.00."""
    context = make_context(memory_store)
    tiers = "model: graduated, tiers: [{up_to: '100', unit_price: '1'}, {unit_price: '0.5'}]"
    plain = 'included: "1000", model: per_unit, unit_price: "0.01"'
    apply(context, CATALOG.replace(plain, tiers))
    usage = Usage(context)
    usage.send("100", at="2026-02-05T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    fields = {"name": "Large tokens", "unit_cost": "0.1"}
    override_price(context, subscription_id="sub-1", price="tokens", fields=fields)
    usage.send("100", at="2026-02-14T10:00:10Z")
    assert amounts(context)[1:] == [("tokens", 0, "150.00")]
    explained = explain_invoice(context, document=DocumentRef(customer_id="acme"))
    assert explained["lines"][1]["description"] == "Large tokens"
    # The cost that stands last: 200 × 0.1.
    assert explained["margin"]["cost"] == "20.00"
