"""Usage prices as a catalog file writes them."""

from dataclasses import replace
from decimal import Decimal

from billing_server.domain.catalog.model import Proratable, TierScope, UsagePrice
from billing_server.domain.catalog.read_price import read_price
from billing_server.domain.catalog.write_price import usage_price_to_dict
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.adjustments import AmountDiscount
from billing_server.domain.rating.conversion import Conversion
from billing_server.domain.rating.per_unit import PerUnit

PLAIN = UsagePrice(key="input", meter="tokens", model=PerUnit(Decimal("0.10")))
MODIFIED = replace(
    PLAIN,
    convert=Conversion(Decimal(1000)),
    charge_flat_at_zero=True,
    discount=AmountDiscount(Decimal("5.00")),
    minimum=Decimal("1.50"),
    maximum=Decimal(40),
    prorate=frozenset({Proratable.MINIMUM, Proratable.INCLUDED}),
    estimate_unit_price=Decimal("0.01"),
    unit_cost=Decimal("0.05"),
)


def test_modifiers_that_are_not_set_are_left_out() -> None:
    assert usage_price_to_dict(PLAIN) == {
        "key": "input",
        "name": None,
        "kind": "usage",
        "meter": "tokens",
        "where": {},
        "included": "0",
        "model": "per_unit",
        "unit_price": "0.1",
    }


def test_every_modifier_is_written_canonically_and_read_back() -> None:
    written = usage_price_to_dict(MODIFIED)
    assert {name: written[name] for name in written if name not in usage_price_to_dict(PLAIN)} == {
        "convert": {"divide_by": "1000", "round": "none"},
        "charge_flat_at_zero": True,
        "discount": {"amount": "5"},
        "maximum": "40",
        "minimum": "1.5",
        "prorate": ["included", "minimum"],
        "estimate_unit_price": "0.01",
        "unit_cost": "0.05",
    }
    mistakes = Mistakes("price")
    fields = FieldReader(node_from_plain(written), path="", mistakes=mistakes)
    assert (read_price(fields), mistakes.violations) == (MODIFIED, ())


def test_groups_are_a_list_where_the_tiers_are_shared() -> None:
    grouped = replace(PLAIN, group_by=("project", "team"))
    assert usage_price_to_dict(grouped)["group_by"] == ["project", "team"]
    own = replace(grouped, group_tiers=TierScope.PER_GROUP)
    assert usage_price_to_dict(own)["group_by"] == {
        "dimensions": ["project", "team"],
        "tiers": "per_group",
    }
