"""A running charge that differs from the usage is told with both values."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from billing_server.domain.ports.usage import ChargeKey, ChargeRow, RunningCharge
from billing_server.services.charge_differences import ChargeDifference, charge_differences

ROW = ChargeRow(ChargeKey("acme", "sub", 0, "tokens", 0, ""), 7, Decimal("0.70"), 70, 2)
STORED = RunningCharge(
    "sub", datetime(2026, 1, 1, tzinfo=UTC), "tokens", 0, 7, Decimal("0.7"), 70, "", 2
)


def test_equal_charges_have_no_difference() -> None:
    assert charge_differences([STORED], folded=[ROW]) == ()


def test_what_is_wrong_missing_or_too_much_is_told() -> None:
    wrong = replace(STORED, amount_minor=71)
    (found,) = charge_differences([wrong], folded=[ROW])
    assert found == ChargeDifference(
        "tokens",
        0,
        "",
        "quantity 7 of 2, amount 0.7 (71 minor units)",
        "quantity 7 of 2, amount 0.70 (70 minor units)",
    )
    (missing,) = charge_differences([], folded=[ROW])
    assert missing.stored == "nothing"
    (surplus,) = charge_differences([STORED], folded=[])
    assert surplus.folded == "nothing"
