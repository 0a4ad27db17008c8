"""Limits as values: how windows are written."""

from datetime import timedelta

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(30, "rolling:30m"), (90, "rolling:90m"), (300, "rolling:5h"), (7 * 24 * 60, "rolling:7d")],
)
def test_a_rolling_window_is_written_in_its_largest_whole_unit(minutes: int, text: str) -> None:
    window = LimitWindow(WindowUnit.ROLLING, timedelta(minutes=minutes))
    assert str(window) == text


def test_other_windows_are_their_word() -> None:
    assert str(LimitWindow(WindowUnit.BILLING_PERIOD)) == "billing_period"


@pytest.mark.parametrize(
    ("subject", "is_money"),
    [
        (LimitSubject.METER, False),
        (LimitSubject.CONCURRENCY, False),
        (LimitSubject.MONEY, True),
        (LimitSubject.BALANCE, True),
    ],
)
def test_spend_caps_and_balances_count_money(subject: LimitSubject, is_money: bool) -> None:
    assert Limit(key="a", subject=subject).is_money is is_money
