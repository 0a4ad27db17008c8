"""Rows are held back until they are due, at any speed."""

from fractions import Fraction

import pytest

from metering.cli.pace import Pacer, Speed, parse_speed
from metering.errors import ValidationError


@pytest.mark.parametrize(
    ("text", "factor"),
    [("max", None), ("realtime", Fraction(1)), ("10", Fraction(10)), ("0.5", Fraction(1, 2))],
)
def test_a_speed_is_a_word_or_a_number(text: str, factor: Fraction | None) -> None:
    assert parse_speed(text) == Speed(factor=factor)


@pytest.mark.parametrize(
    "text", ["", "fast", "0", "-1", "1/0", "nan", "inf", "1e999999999", "1_0", "٣"]
)
def test_anything_else_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValidationError, match="write max, realtime or a number above 0"):
        parse_speed(text)


def _sleeps(speed: Speed, offsets_ns: list[int]) -> list[float]:
    now = [100.0]
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        now[0] += seconds

    pacer = Pacer(speed, monotonic=lambda: now[0], sleep=sleep)
    for offset_ns in offsets_ns:
        pacer.wait_for(offset_ns)
    return sleeps


def test_the_greatest_speed_never_sleeps() -> None:
    assert _sleeps(Speed(factor=None), [0, 10**12]) == []


def test_realtime_sleeps_as_the_trace_did() -> None:
    # Rows at 0 s, 2 s and 2 s: the third is due already.
    assert _sleeps(Speed(factor=Fraction(1)), [0, 2 * 10**9, 2 * 10**9]) == [2.0]


def test_a_multiple_sleeps_that_much_less() -> None:
    # 2 s and 8 s at four times the speed: due after 0.5 s and 2 s.
    assert _sleeps(Speed(factor=Fraction(4)), [2 * 10**9, 8 * 10**9]) == [0.5, 1.5]


def test_a_row_before_the_first_is_due_at_once() -> None:
    assert _sleeps(Speed(factor=Fraction(1)), [-(10**9)]) == []
