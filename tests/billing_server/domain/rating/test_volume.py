"""The volume price model, with the numbers of R25."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.volume import Volume
from metering.errors import InvariantError
from tests.billing_server.domain.rating.reading import quantity_model, refusals_of

TIERS = (
    Tier(Decimal(1000), Decimal("0.01")),
    Tier(Decimal(10000), Decimal("0.008")),
    Tier(None, Decimal("0.005")),
)
VOLUME = Volume(TIERS)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("0", "0"),
        ("1000", "10"),  # 1000 × 0.01
        ("1000.5", "8.004"),  # 1000.5 × 0.008
        ("10000", "80"),
        ("10001", "50.005"),  # the cliff: one unit more costs 29.995 less
        ("15000", "75"),
    ],
)
def test_r25_the_tier_of_the_total_prices_all_of_it(quantity: str, amount: str) -> None:
    assert VOLUME.rate(Decimal(quantity)) == Decimal(amount)


def test_r23_graduated_and_volume_agree_on_the_tier_of_a_bound() -> None:
    (step,) = VOLUME.explain(Decimal(1000))
    assert (step.from_quantity, step.to_quantity) == (0, 1000)
    (step,) = VOLUME.explain(Fraction(3001, 3))
    assert (step.from_quantity, step.to_quantity) == (1000, 10000)


def test_r26_the_flat_price_of_the_tier_is_added_once() -> None:
    model = quantity_model(
        model="volume",
        tiers=[{"up_to": "10", "unit_price": "1", "flat_price": "5"}, {"flat_price": "20"}],
    )
    # 10 × 1 + 5; above 10 all is in the second tier and costs its flat price alone.
    assert [model.rate(Decimal(used)) for used in (10, 11)] == [15, 20]


def test_r27_zero_usage_is_in_no_tier() -> None:
    model = Volume((Tier(None, Decimal(1), Decimal(5)),))
    assert (model.rate(Decimal(0)), model.explain(Decimal(0)), model.flat_at_zero) == (0, (), 5)


def test_tiers_with_a_hole_cannot_be_built() -> None:
    with pytest.raises(InvariantError):
        Volume((Tier(Decimal(5)),))


def test_tiers_are_checked_as_for_every_model() -> None:
    assert refusals_of(model="volume", tiers=[{"up_to": "5", "unit_price": "1"}]) == [
        ("tiers[0].up_to", "LAST_TIER_BOUNDED")
    ]
