"""R32: the lines of groups add up to what the price comes to, to the cent."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.invoice.group_lines import allocated, group_weights, part_of
from billing_server.domain.rating.segment_usage import GroupUsage
from metering.money import Money


def groups(*quantities: int) -> list[GroupUsage]:
    return [GroupUsage({"g": str(number)}, Decimal(each)) for number, each in enumerate(quantities)]


def test_r32_an_amount_falls_to_groups_by_quantity_with_the_largest_remainder() -> None:
    # 107.00 by 1000 and 500: 71.333… and 35.666…; the odd cent goes to the larger remainder.
    parts = allocated(Money(10_700, "USD"), groups=groups(1000, 500))
    assert [part.amount_minor for part in parts] == [7_133, 3_567]


def test_without_quantities_and_below_zero_the_parts_are_still_a_whole() -> None:
    assert group_weights(groups(0, 0)) == (Fraction(1, 2), Fraction(1, 2))
    assert group_weights(groups(-5, 10)) == (0, 1)
    assert [part.amount_minor for part in allocated(Money(101, "USD"), groups=groups(0, 0))] == [
        51,
        50,
    ]


def test_the_only_group_has_the_whole_unchanged() -> None:
    assert part_of(Decimal("1.5"), Fraction(1)) == Decimal("1.5")
    assert part_of(Decimal("1.5"), Fraction(1, 3)) == Fraction(1, 2)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_r32_the_sum_over_groups_is_the_total(amount: int, quantities: list[int]) -> None:
    parts = allocated(Money(amount, "USD"), groups=groups(*quantities))
    assert sum(part.amount_minor for part in parts) == amount
