"""Overrides: fields of a price that differ for one subscription."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import OneTimePrice, RecurringPrice, UsagePrice
from billing_server.domain.catalog.override import (
    canonical_fields,
    overridden,
    plain_from_node,
)
from billing_server.domain.document import load_yaml
from billing_server.domain.fields import FieldMistake
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.tier import Tier
from metering.errors import ValidationError

INPUT = UsagePrice(
    key="input", meter="tokens", included=Decimal(1000), model=PerUnit(Decimal("0.01"))
)
BASE = RecurringPrice(key="base", amount=Decimal(20), name="Base")


def test_only_the_named_fields_differ() -> None:
    changed = overridden(INPUT, fields={"included": "2000000"})
    assert isinstance(changed, UsagePrice)
    assert (changed.included, changed.model) == (Decimal(2000000), INPUT.model)
    assert overridden(BASE, fields={"amount": "15"}) == RecurringPrice(
        key="base", amount=Decimal(15), name="Base"
    )
    setup = OneTimePrice(key="setup", amount=Decimal(99))
    assert overridden(setup, fields={"amount": "0"}) == OneTimePrice(key="setup", amount=Decimal(0))


def test_another_model_leaves_out_the_fields_of_the_one_before() -> None:
    fields = {"model": "graduated", "tiers": [{"unit_price": "0.005"}]}
    changed = overridden(INPUT, fields=fields)
    assert isinstance(changed, UsagePrice)
    assert changed.model == Graduated((Tier(None, Decimal("0.005"), Decimal(0)),))
    assert changed.included == 1000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"meter": "other"}, "OVERRIDE_FIXED_FIELD"),
        ({"where": {"a": "b"}}, "OVERRIDE_FIXED_FIELD"),
        ({"unit_price": "-1"}, "PRICE_NEGATIVE"),
        ({"tiers": []}, "FIELD_UNKNOWN"),
        ({"unit_price": 0.5}, "FLOAT_NOT_ALLOWED"),
    ],
)
def test_a_wrong_override_is_refused_by_its_field(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        overridden(INPUT, fields=fields, path="overrides.input")
    assert caught.value.reason == "OVERRIDE_INVALID"
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == (f"overrides.input.{next(iter(fields))}", reason)


def test_equal_overrides_have_one_writing() -> None:
    assert canonical_fields(INPUT, fields={"free_units": "5", "unit_price": "0.020"}) == {
        "included": "5",
        "unit_price": "0.02",
    }


def test_located_values_become_plain_ones_and_never_a_float() -> None:
    node = load_yaml('{a: [x, 3, true, null], b: {c: "1.50"}}', name="x.yaml")
    assert plain_from_node(node) == {"a": ["x", "3", True, None], "b": {"c": "1.50"}}
    with pytest.raises(FieldMistake, match="quote it"):
        plain_from_node(load_yaml("{a: 1.5}", name="x.yaml"))


@pytest.mark.parametrize("field", ["tax_category", "tax_behavior"])
def test_how_a_price_is_taxed_cannot_differ_for_one_subscription(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        overridden(OneTimePrice(key="setup", amount=Decimal(1)), fields={field: "inclusive"})
    assert [each.reason for each in caught.value.violations] == ["OVERRIDE_FIXED_FIELD"]
