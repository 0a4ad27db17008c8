"""Usage prices: the model, its modifiers, and what is refused of them."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import Proratable, UsagePrice
from billing_server.domain.catalog.read_price import read_price
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.adjustments import RateDiscount
from billing_server.domain.rating.conversion import Conversion, ConversionRounding

PRICE: dict[str, object] = {
    "key": "input",
    "kind": "usage",
    "meter": "tokens",
    "model": "per_unit",
    "unit_price": "1",
}


def read(fields: dict[str, object]) -> tuple[object, list[tuple[str, str]]]:
    mistakes = Mistakes("request")
    found = read_price(FieldReader(node_from_plain(PRICE | fields), path="", mistakes=mistakes))
    return found, [(each.field, each.reason) for each in mistakes.violations]


def read_good(fields: dict[str, object]) -> UsagePrice:
    found, refusals = read(fields)
    assert refusals == []
    assert isinstance(found, UsagePrice)
    return found


def test_a_price_has_no_modifier_that_it_does_not_name() -> None:
    price = read_good({})
    assert (price.included, price.minimum, price.maximum, price.discount) == (0, 0, None, None)
    assert (price.convert, price.group_by, price.charge_flat_at_zero) == (None, (), False)
    assert price.prorate == set(Proratable)


def test_every_modifier_is_read() -> None:
    price = read_good(
        {
            "convert": {"divide_by": "1000", "round": "up"},
            "free_units": "5.5",
            "charge_flat_at_zero": True,
            "discount": {"rate": "0.1"},
            "minimum": "1.50",
            "maximum": "10000",
            "prorate": ["included"],
            "estimate_unit_price": "0.01",
        }
    )
    assert price.convert == Conversion(Decimal(1000), ConversionRounding.UP)
    assert (price.included, price.charge_flat_at_zero) == (Decimal("5.5"), True)
    assert price.discount == RateDiscount(Decimal("0.1"))
    assert (price.minimum, price.maximum) == (Decimal("1.5"), 10000)
    assert price.prorate == {Proratable.INCLUDED}
    assert price.estimate_unit_price == Decimal("0.01")


def test_r17_an_empty_list_prorates_nothing() -> None:
    assert read_good({"prorate": []}).prorate == frozenset()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"included": "1", "free_units": "1"}, "free_units", "INCLUDED_TWICE"),
        ({"included": 1.5}, "included", "FLOAT_NOT_ALLOWED"),
        ({"minimum": "2", "maximum": "1"}, "minimum", "MINIMUM_ABOVE_MAXIMUM"),
        ({"minimum": 0.5}, "minimum", "FLOAT_NOT_ALLOWED"),
        ({"maximum": "-1"}, "maximum", "PRICE_NEGATIVE"),
        ({"prorate": ["tiers"]}, "prorate[0]", "CHOICE_UNKNOWN"),
        ({"prorate": "included"}, "prorate", "FIELD_MALFORMED"),
        ({"charge_flat_at_zero": "sometimes"}, "charge_flat_at_zero", "BOOLEAN_MALFORMED"),
        ({"convert": {"divide_by": "0"}}, "convert.divide_by", "DIVISOR_ZERO"),
        ({"convert": "1000"}, "convert", "FIELD_MALFORMED"),
        ({"discount": {"rate": "10"}}, "discount.rate", "RATE_ABOVE_ONE"),
        ({"maximun": "1"}, "maximun", "FIELD_UNKNOWN"),
        ({"group_by": ["a", "a"]}, "group_by", "GROUP_DUPLICATE"),
        ({"group_by": ["a", "b", "c", "d", "e"]}, "group_by", "GROUPS_TOO_MANY"),
        ({"group_by": {"dimensions": ["a"], "tiers": "own"}}, "group_by.tiers", "CHOICE_UNKNOWN"),
    ],
)
def test_a_wrong_modifier_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    assert (field, reason) in read(fields)[1]
