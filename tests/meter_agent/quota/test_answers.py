"""What was used beyond what was granted."""

from decimal import Decimal

from meter_agent.quota.answers import overrun_of


def test_only_what_was_granted_can_be_overrun() -> None:
    used = {"output": Decimal(12), "input": Decimal(3), "images": Decimal(1)}
    granted = {"output": Decimal(10), "input": Decimal(3)}
    assert overrun_of(used, granted=granted) == {"output": Decimal(2)}
