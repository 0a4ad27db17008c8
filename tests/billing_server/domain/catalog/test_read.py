"""Readers of single things, from the plain values that storage and the API hand in."""

from decimal import Decimal

from billing_server.domain.catalog.model import RecurringPrice
from billing_server.domain.catalog.read import (
    read_customer,
    read_meter,
    read_plan,
    read_subscription_entry,
)
from billing_server.domain.catalog.read_price import read_price
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes


def reader(fields: dict[str, object]) -> FieldReader:
    return FieldReader(node_from_plain(fields), path="", mistakes=Mistakes("request"))


def test_a_meter_reads_its_own_key_and_counts_in_units_by_default() -> None:
    meter = read_meter(reader({"key": "tokens", "aggregation": "max"}))
    assert meter is not None
    assert (meter.quantity, meter.unit, meter.decimals, meter.where) == ("tokens", "unit", 0, {})


def test_a_thing_that_is_wrong_is_read_as_nothing_and_noted() -> None:
    for read, fields in (
        (read_meter, {"key": "a"}),
        (read_price, {"key": "a"}),
        (read_customer, {}),
        (read_subscription_entry, {"id": "s", "customer": "c"}),
        (lambda item: read_plan(item, meter_keys=None), {"key": "a"}),
    ):
        fields_reader = reader(fields)
        assert read(fields_reader) is None
        assert fields_reader.mistakes.count == 1


def test_without_a_list_of_meters_a_price_may_name_any() -> None:
    fields: dict[str, object] = {
        "key": "pro",
        "currency": "USD",
        "prices": [
            {
                "key": "a",
                "kind": "usage",
                "meter": "anything",
                "model": "per_unit",
                "unit_price": "1",
            }
        ],
    }
    assert read_plan(reader(fields), meter_keys=None) is not None
    known = reader(fields)
    assert read_plan(known, meter_keys=frozenset({"tokens"})) is None
    assert [violation.reason for violation in known.mistakes.violations] == ["METER_UNKNOWN"]


def test_a_fee_is_in_advance_unless_it_says_otherwise() -> None:
    price = read_price(reader({"key": "base", "kind": "recurring", "amount": "1"}))
    assert price == RecurringPrice(key="base", amount=Decimal(1))


def test_two_prices_of_a_plan_cannot_share_a_key() -> None:
    price = {"key": "base", "kind": "recurring", "amount": "1"}
    fields = reader({"key": "pro", "currency": "USD", "prices": [price, price]})
    assert read_plan(fields, meter_keys=None) is None
    (violation,) = fields.mistakes.violations
    assert (violation.field, violation.reason) == ("prices[1].key", "PRICE_KEY_DUPLICATE")


def test_a_start_or_anchor_at_the_end_of_the_calendar_names_its_field() -> None:
    fields = reader(
        {
            "id": "s",
            "customer": "c",
            "plan": "p",
            "start": "0001-01-01T00:00:00Z",
            "anchor": "9999-12-31T23:59:00Z",
        }
    )
    read_subscription_entry(fields)
    assert [(each.field, each.reason) for each in fields.mistakes.violations] == [
        ("start", "INSTANT_OUT_OF_RANGE"),
        ("anchor", "INSTANT_OUT_OF_RANGE"),
    ]


def test_a_unit_cost_that_is_no_exact_price_is_refused_by_its_field() -> None:
    price: dict[str, object] = {
        "key": "a",
        "kind": "usage",
        "meter": "m",
        "model": "per_unit",
        "unit_price": "1",
        "unit_cost": "-1",
    }
    fields = reader(price)
    read_price(fields)
    assert [(v.field, v.reason) for v in fields.mistakes.violations] == [
        ("unit_cost", "PRICE_NEGATIVE")
    ]
