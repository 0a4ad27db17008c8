"""A discount of the invoice on its lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.tax.discount_shares import discount_shares
from metering.errors import InvariantError
from metering.money import Money


def usd(*cents: int) -> tuple[Money, ...]:
    return tuple(Money(each, "USD") for each in cents)


@pytest.mark.parametrize(
    ("discount", "lines", "shares"),
    [
        (2000, (7000, 3000), (1400, 600)),
        # 10 / 3 = 3.33: the cent that is left goes to the first of those that lost most.
        (10, (500, 500, 500), (4, 3, 3)),
        # 1.00 × 68.33/279.16 = 0.2447.., twice; 0.2059..; 0.3044..: cents 24, 24, 20, 30 and two.
        (100, (6833, 6833, 5750, 8500), (25, 24, 21, 30)),
        (500, (500, 0), (500, 0)),
        (300, (-200, 500), (0, 300)),
        (0, (0, 0), (0, 0)),
    ],
)
def test_r43_a_coupon_is_spread_over_lines_by_largest_remainder(
    discount: int, lines: tuple[int, ...], shares: tuple[int, ...]
) -> None:
    assert discount_shares(*usd(discount), lines=usd(*lines)) == usd(*shares)


@pytest.mark.parametrize("discount", [-1, 501])
def test_a_discount_above_the_lines_is_a_defect(discount: int) -> None:
    with pytest.raises(InvariantError, match=r"does not fit lines of 5\.00"):
        discount_shares(*usd(discount), lines=usd(500, -300))


@given(st.data(), st.lists(st.integers(-1000, 10_000), max_size=12))
def test_r43_shares_add_up_and_none_is_more_than_its_line(
    data: st.DataObject, lines: list[int]
) -> None:
    above = [max(each, 0) for each in lines]
    discount = data.draw(st.integers(0, sum(above)))
    shares = [each.amount_minor for each in discount_shares(*usd(discount), lines=usd(*lines))]
    assert sum(shares) == discount
    assert all(0 <= share <= line for share, line in zip(shares, above, strict=True))
