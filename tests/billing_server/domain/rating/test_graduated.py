"""The graduated price model, with the numbers of R23, R24, R26 and R27."""

from decimal import Decimal

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.graduated import Graduated, read_graduated
from billing_server.domain.rating.tier import Tier
from metering.errors import InvariantError


def tier(up_to: str | None, unit_price: str = "0", flat_price: str = "0") -> Tier:
    return Tier(None if up_to is None else Decimal(up_to), Decimal(unit_price), Decimal(flat_price))


TOKENS = Graduated((tier("1000", "0.01"), tier("10000", "0.008"), tier(None, "0.005")))
FLATS = Graduated((tier("100", "0", "10"), tier("500", "0.05", "5"), tier(None, "0.02")))


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("1000", "10"),  # 1000 × 0.01
        ("1000.5", "10.004"),  # 10 + 0.5 × 0.008
        ("1001", "10.008"),  # 10 + 1 × 0.008
        ("10000", "82"),  # 10 + 9000 × 0.008
        ("15000", "107"),  # 82 + 5000 × 0.005
    ],
)
def test_r24_graduated_price_charges_each_tier_at_its_own_rate(quantity: str, amount: str) -> None:
    assert TOKENS.rate(Decimal(quantity)) == Decimal(amount)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("1", "10"),  # the first flat
        ("100", "10"),
        ("101", "15.05"),  # 10 + 5 + 1 × 0.05
        ("500", "35"),  # 10 + 5 + 400 × 0.05
        ("600", "37"),  # 35 + 100 × 0.02
    ],
)
def test_r26_the_flat_of_a_tier_is_charged_once_when_it_is_entered(
    quantity: str, amount: str
) -> None:
    assert FLATS.rate(Decimal(quantity)) == Decimal(amount)


def test_r23_the_upper_bound_belongs_to_the_tier_and_what_is_above_to_the_next() -> None:
    assert [step.quantity for step in TOKENS.explain(Decimal(1000))] == [1000]
    # 1000.000000001 lies in the second tier by a billionth.
    steps = TOKENS.explain(Decimal("1000.000000001"))
    assert [step.quantity for step in steps] == [1000, Decimal("0.000000001")]


def test_r27_zero_usage_enters_no_tier_and_pays_no_flat() -> None:
    assert FLATS.rate(Decimal(0)) == 0
    assert FLATS.explain(Decimal(0)) == ()


def test_steps_name_their_tiers_and_add_up() -> None:
    steps = TOKENS.explain(Decimal(15000))
    assert [(step.from_quantity, step.to_quantity) for step in steps] == [
        (0, 1000),
        (1000, 10000),
        (10000, None),
    ]
    # 10 + 72 + 25 = 107
    assert [step.amount for step in steps] == [10, 72, 25]


def test_a_single_tier_without_end_is_a_unit_price() -> None:
    assert Graduated((tier(None, "0.1", "2"),)).rate(Decimal(3)) == Decimal("2.3")


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        (tier("10"),),
        (tier(None), tier("10")),
        (tier("10"), tier("10"), tier(None)),
        (tier("10"), tier("5"), tier(None)),
        (tier("0"), tier(None)),
        (tier(None), tier(None)),
    ],
)
def test_tiers_that_do_not_cover_every_quantity_once_cannot_be_built(
    tiers: tuple[Tier, ...],
) -> None:
    with pytest.raises(InvariantError) as caught:
        Graduated(tiers)
    assert caught.value.reason == "TIERS_MALFORMED"


def test_fields_are_written_canonically() -> None:
    fields = Graduated((tier("10.50", "0.10"), tier(None, "0", "1.0"))).to_fields()
    assert fields == {
        "tiers": [
            {"up_to": "10.5", "unit_price": "0.1", "flat_price": "0"},
            {"unit_price": "0", "flat_price": "1"},
        ]
    }


def test_tiers_that_cannot_be_added_up_exactly_are_refused_by_their_field() -> None:
    most = "999999999999999999.999999999999999999"
    tiers = [
        {"up_to": "0.000000001", "unit_price": most},
        {"up_to": "999999999999999999", "unit_price": most[:-1] + "8"},
        {"unit_price": "1"},
    ]
    mistakes = Mistakes("test")
    fields = FieldReader(node_from_plain({"tiers": tiers}), path="", mistakes=mistakes)
    assert read_graduated(fields) is None
    assert [item.reason for item in mistakes.violations] == ["TIERS_TOO_PRECISE"]
