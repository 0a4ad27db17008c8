"""Thresholds: each told once for each window and direction."""

from decimal import Decimal

import pytest

from billing_server.domain.limit.thresholds import crossings

SHARES = (Decimal("0.5"), Decimal("0.8"), Decimal(1))


@pytest.mark.parametrize(
    ("passed", "used", "told", "highest"),
    [
        (None, 49, [], None),
        (None, 50, ["0.5 rising"], "0.5"),
        ("0.5", 79, [], "0.5"),
        ("0.5", 100, ["0.8 rising", "1 rising"], "1"),
        ("1", 120, [], "1"),
        ("1", 79, ["1 falling", "0.8 falling"], "0.5"),
        ("0.8", 0, ["0.8 falling", "0.5 falling"], None),
    ],
)
def test_r94_a_threshold_is_told_once_rising_and_once_falling(
    passed: str | None, used: int, told: list[str], highest: str | None
) -> None:
    found, now_passed = crossings(
        SHARES, passed=None if passed is None else Decimal(passed), used=used, maximum=100
    )
    assert [f"{each.share} {each.direction}" for each in found] == told
    assert now_passed == (None if highest is None else Decimal(highest))


def test_any_use_of_a_limit_of_nothing_passes_every_threshold() -> None:
    assert crossings(SHARES, passed=None, used=0, maximum=0) == ((), None)
    found, highest = crossings(SHARES, passed=None, used=1, maximum=0)
    assert (len(found), highest) == (3, Decimal(1))
