"""A price list with a mistake is refused with file, line, field and what to write instead."""

import pytest

from billing_server.domain.catalog.parse import parse_catalog
from metering.errors import ValidationError

HEAD = """
meters:
  - {key: tokens, aggregation: sum}
  - {key: sales, aggregation: sum, decimals: 2}
plans:
  - key: pro
    currency: USD
    prices:
"""
LINE = HEAD.count("\n") + 1
"""On which the first price stands."""


def message_of(*prices: str) -> str:
    text = HEAD + "".join(f"      - {{kind: usage, {price}}}\n" for price in prices)
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="prices.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    ("price", "field", "problem"),
    [
        (
            'model: stairstep, tiers: [{flat_price: "1", unit_price: "2"}]',
            "tiers[0].unit_price",
            "a stairstep tier has a flat_price alone; leave the unit_price out, or use model "
            "volume, which charges both",
        ),
        (
            'model: graduated, tiers: [{up_to: "9", unit_price: "1"}]',
            "tiers[0].up_to",
            "the last tier ends at 9 and nothing prices what is above; leave its up_to out, or add "
            "a tier without up_to",
        ),
        (
            'model: volume, tiers: [{up_to: "9", unit_price: "1"}, {up_to: "5", unit_price: "1"}, '
            '{unit_price: "1"}]',
            "tiers[1].up_to",
            "5 is not above 9, where the tier begins; bounds ascend, adjacent tiers share theirs",
        ),
        (
            'model: graduated, tiers: [{unit_price: "1"}, {unit_price: "1"}]',
            "tiers[0].up_to",
            "only the last tier is without up_to; give this one its upper bound",
        ),
        (
            "model: graduated, tiers: [{unit_price: 0.01}]",
            "tiers[0].unit_price",
            '0.01 would be read as a float and lose digits; quote it: "0.01"',
        ),
        (
            'model: package, package_size: 0, package_price: "1"',
            "package_size",
            "a package of no units has no price; write how many units it holds",
        ),
        (
            'model: percentage, rate: "1.9"',
            "rate",
            '1.9 would be 190 %; rates are fractions from 0 to 1, so write "0.019" for 1.9 %',
        ),
        (
            'model: tierd, unit_price: "1"',
            "model",
            "'tierd' is not known here; use one of: flat, per_unit, package, graduated, volume, "
            "stairstep, percentage, graduated_percentage, dynamic",
        ),
        (
            'model: flat, amount: "1", minimum: "5", maximum: "4"',
            "minimum",
            "5 is above maximum 4; write a minimum that is at most the maximum",
        ),
        (
            'model: flat, amount: "1", included: "5", free_units: "5"',
            "free_units",
            "included and free_units are the same thing; write one of them",
        ),
        (
            'model: flat, amount: "1", convert: {divide_by: "0"}',
            "convert.divide_by",
            "a quantity cannot be divided by 0; write how many units make one",
        ),
        (
            'model: flat, amount: "1", discount: {rate: "0.1", amount: "1"}',
            "discount.rate",
            'write either rate: "0.1" for a tenth off, or amount: "5" for 5 off a period',
        ),
        (
            'model: flat, amount: "1", prorate: [tiers]',
            "prorate[0]",
            "'tiers' is not known here; use one of: included, minimum, maximum",
        ),
        (
            'model: flat, amount: "1", maximun: "4"',
            "maximun",
            "unknown field; did you mean 'maximum'?",
        ),
    ],
)
def test_a_mistake_in_a_price_names_file_line_field_and_remedy(
    price: str, field: str, problem: str
) -> None:
    message = message_of(f"key: a, meter: tokens, {price}")
    assert message == f"prices.yaml:{LINE}: plans[0].prices[0].{field}: {problem}"


def test_all_mistakes_of_all_prices_are_told_at_once() -> None:
    message = message_of(
        "key: a, meter: tokns, model: flat",
        'key: b, meter: tokens, where: {x: "1"}, model: flat, amount: "1"',
        'key: c, meter: tokens, where: {y: "1"}, model: flat, amount: "1"',
    )
    assert message.split("\n") == [
        f"prices.yaml:{LINE}: plans[0].prices[0].amount: the field is missing",
        f"prices.yaml:{LINE}: plans[0].prices[0].meter: there is no meter 'tokns'; add it under "
        "meters, or correct the name",
        f"prices.yaml:{LINE + 2}: plans[0].prices[2].where: prices 'b' and 'c' could both charge "
        "one event of meter 'tokens', each by 1 matched dimension; add a dimension to the where "
        "of one of them",
    ]
