"""What a catalog file changes."""

from dataclasses import replace
from decimal import Decimal

from billing_server.domain.catalog.diff import CatalogChanges, Change, ChangeKind, plan_changes
from billing_server.domain.catalog.model import Aggregation, CatalogFile, Plan
from billing_server.domain.catalog.parse import parse_catalog
from metering.clock import parse_instant

TEXT = """
meters:
  - {key: tokens, unit: token, aggregation: sum}
plans:
  - key: pro
    currency: USD
    prices:
      - {key: base, kind: recurring, amount: "20.00"}
      - key: input
        kind: usage
        meter: tokens
        model: graduated
        tiers: [{up_to: "1000", unit_price: "0.01"}, {unit_price: "0.005"}]
customers: [{id: acme, name: Acme, timezone: Europe/Berlin}]
subscriptions: [{id: sub-1, customer: acme, plan: pro}]
"""


def catalog(text: str = TEXT) -> CatalogFile:
    return parse_catalog(text, name="catalog.yaml")


def applied(file: CatalogFile) -> CatalogFile:
    """Returns what is stored after a file was applied."""
    now = parse_instant("2026-01-01T00:00:00Z")
    return replace(
        file,
        plans=tuple(replace(plan, version=1, effective_from=now) for plan in file.plans),
        customers=tuple(replace(item, currency="USD") for item in file.customers),
        subscriptions=tuple(replace(item, start=now) for item in file.subscriptions),
    )


def summaries(found: CatalogChanges) -> list[str]:
    assert found.refusals == ()
    return [change.summary for change in found.changes]


def refusal(found: CatalogChanges) -> tuple[str, str, str, str]:
    (refused,) = found.refusals
    return refused.section, refused.key, refused.field, refused.reason


def test_a_new_catalog_creates_everything_in_an_order_that_can_be_done() -> None:
    found = plan_changes(CatalogFile(), wanted=catalog())
    assert summaries(found) == [
        "create meter tokens",
        "create version 1 of plan pro",
        "create customer acme",
        "create subscription sub-1",
    ]
    plan = found.changes[1].value
    assert isinstance(plan, Plan)
    assert plan.version == 1


def test_the_same_file_applied_again_changes_nothing() -> None:
    assert summaries(plan_changes(applied(catalog()), wanted=catalog())) == []


def test_another_way_to_write_the_same_numbers_changes_nothing() -> None:
    same = catalog(TEXT.replace('"20.00"', '"20"').replace('"0.01"', '"0.010"'))
    assert summaries(plan_changes(applied(catalog()), wanted=same)) == []


def test_a_changed_price_makes_a_new_version_and_says_what_changed() -> None:
    wanted = catalog(TEXT.replace('"0.005"', '"0.004"').replace('"20.00"', '"25"'))
    (change,) = plan_changes(applied(catalog()), wanted=wanted).changes
    assert change.kind is ChangeKind.NEW_VERSION
    assert change.summary == "new version 2 of plan pro"
    assert (change.resource, change.key) == ("plan", "pro")
    assert change.details == (
        'prices.base.amount: "20" -> "25"',
        'prices.input.tiers.1.unit_price: "0.005" -> "0.004"',
    )
    assert isinstance(change.value, Plan)
    assert change.value.version == 2


def test_a_changed_modifier_makes_a_new_version_and_is_named() -> None:
    plain = '{key: a, kind: usage, meter: tokens, where: {m: x}, model: flat, amount: "1"}'
    changed = plain[:-1] + (
        ', convert: {divide_by: "1000"}, discount: {rate: "0.1"}, maximum: "9", minimum: "2", '
        "prorate: [included], charge_flat_at_zero: true}"
    )
    old, new = (
        catalog(TEXT.replace("      - key: input", f"      - {price}\n      - key: input"))
        for price in (plain, changed)
    )
    (change,) = plan_changes(applied(old), wanted=new).changes
    assert change.kind is ChangeKind.NEW_VERSION
    assert change.details == (
        'prices.a.convert: nothing -> divide_by "1000", round "none"',
        "prices.a.charge_flat_at_zero: nothing -> true",
        'prices.a.discount: nothing -> rate "0.1"',
        'prices.a.maximum: nothing -> "9"',
        'prices.a.minimum: nothing -> "2"',
        'prices.a.prorate: nothing -> "included"',
    )


def test_a_price_that_comes_or_goes_is_shown() -> None:
    line = '      - {key: base, kind: recurring, amount: "20.00"}\n'
    (change,) = plan_changes(applied(catalog()), wanted=catalog(TEXT.replace(line, ""))).changes
    assert change.details == (
        'prices.base: key "base", kind "recurring", amount "20", bill "in_advance" -> nothing',
    )


def test_another_order_of_prices_is_a_change_for_it_orders_the_invoice() -> None:
    old = applied(catalog())
    turned = replace(old.plans[0], prices=old.plans[0].prices[::-1])
    (change,) = plan_changes(old, wanted=replace(catalog(), plans=(turned,))).changes
    assert change.details == ("prices: another order",)


def test_an_effective_time_of_its_own_is_content() -> None:
    text = TEXT.replace("currency: USD", "currency: USD\n    effective_from: 2026-06-01T00:00:00Z")
    (change,) = plan_changes(applied(catalog()), wanted=catalog(text)).changes
    assert change.kind is ChangeKind.NEW_VERSION
    later = parse_instant("2026-06-01T00:00:00Z")
    stored = replace(
        applied(catalog()),
        plans=(replace(catalog().plans[0], version=2, effective_from=later),),
    )
    assert summaries(plan_changes(stored, wanted=catalog(text))) == []


def test_a_unit_may_change_under_usage_and_a_customer_may_be_renamed() -> None:
    wanted = catalog(TEXT.replace("unit: token", "unit: word").replace("Acme", "Acme Ltd"))
    found = plan_changes(applied(catalog()), wanted=wanted, meters_with_usage=["tokens"])
    assert summaries(found) == ["update meter tokens", "update customer acme"]
    assert found.changes[0].details == ('unit: "token" -> "word"',)


def test_the_way_a_meter_counts_cannot_change_once_it_has_usage() -> None:
    wanted = catalog(TEXT.replace("aggregation: sum", "aggregation: max"))
    found = plan_changes(applied(catalog()), wanted=wanted, meters_with_usage=["tokens"])
    assert refusal(found) == (
        "meters",
        "tokens",
        "aggregation",
        "METER_HAS_USAGE",
    )
    unused = plan_changes(applied(catalog()), wanted=wanted)
    assert summaries(unused) == ["update meter tokens"]


def test_r73_a_plan_keeps_its_currency() -> None:
    found = plan_changes(
        applied(catalog()), wanted=catalog(TEXT.replace("currency: USD", "currency: EUR"))
    )
    assert refusal(found) == ("plans", "pro", "currency", "CURRENCY_MISMATCH")


def test_r7_the_zone_of_a_subscribed_customer_cannot_change_yet() -> None:
    wanted = catalog(TEXT.replace("Europe/Berlin", "Asia/Tokyo"))
    found = plan_changes(applied(catalog()), wanted=wanted)
    assert refusal(found) == ("customers", "acme", "timezone", "NOT_SUPPORTED_YET")
    alone = replace(applied(catalog()), subscriptions=())
    assert "update customer acme" in summaries(plan_changes(alone, wanted=wanted))


def test_a_running_subscription_cannot_change_its_terms_yet() -> None:
    text = TEXT.replace("plan: pro}", "plan: pro, start: 2026-02-01T00:00:00Z}")
    found = plan_changes(applied(catalog()), wanted=catalog(text))
    assert refusal(found) == ("subscriptions", "sub-1", "start", "NOT_SUPPORTED_YET")


def test_overrides_and_add_ons_end_where_a_file_carries_none_and_stay_where_it_says_nothing() -> (
    None
):
    own = TEXT.replace("plan: pro}", "plan: pro, overrides: {base: {amount: '9'}}}")
    stored = applied(catalog(own))
    assert summaries(plan_changes(stored, wanted=catalog())) == []
    ended = catalog(TEXT.replace("plan: pro}", "plan: pro, overrides: {}, addons: []}"))
    (change,) = plan_changes(stored, wanted=ended).changes
    assert change.details == ('overrides.base: amount "9" -> nothing', "from now on")


def test_what_is_not_in_the_file_stays_as_it_is() -> None:
    assert summaries(plan_changes(applied(catalog()), wanted=CatalogFile())) == []


def test_a_change_carries_the_value_that_is_to_be_stored() -> None:
    meter = replace(catalog().meters[0], decimals=2, aggregation=Aggregation.MAX)
    change = Change(ChangeKind.UPDATE, meter)
    assert change.value is meter
    assert Decimal(10) ** meter.decimals == 100


def test_a_changed_limit_is_a_new_version_of_its_plan_and_named_by_its_key() -> None:
    text = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    limits: [{key: daily, meter: tokens, window: day, max: MAX}]
customers: [{id: acme, limits: [{key: slots, concurrency: MAX}]}]
"""
    old, new = (
        parse_catalog(text.replace("MAX", most), name="catalog.yaml") for most in ("500", "800")
    )
    plan, customer = plan_changes(old, wanted=new).changes
    assert plan.kind is ChangeKind.NEW_VERSION
    assert plan.details == ('limits.daily.max: "500" -> "800"',)
    assert customer.details == ("limits.slots.concurrency: 500 -> 800",)


def test_a_customer_of_a_file_without_limits_is_no_change_of_its_limits() -> None:
    text = "customers: [{id: acme, limits: [{key: slots, concurrency: 5}]}]"
    old = parse_catalog(text, name="catalog.yaml")
    new = parse_catalog("customers: [{id: acme}]", name="catalog.yaml")
    assert plan_changes(old, wanted=new).changes == ()


def test_a_rate_is_created_changed_in_place_and_left_alone_where_it_is_the_same() -> None:
    rate = 'tax_rates: [{key: vat, name: VAT, rate: "0.16", country: DE%s}]'
    before = catalog(rate % "")
    assert summaries(plan_changes(CatalogFile(), wanted=before)) == ["create tax rate vat"]
    assert plan_changes(before, wanted=before).unchanged == (("tax_rate", "vat"),)
    (change,) = plan_changes(before, wanted=catalog(rate % ", until: 2027-01-01")).changes
    assert (change.kind, change.summary) == (ChangeKind.UPDATE, "update tax rate vat")
    assert change.details == (
        'until: nothing -> "2027-01-01"',
        "issued invoices keep what they have",
    )
