"""Counters by limit key: no customer is told apart."""

from meter_agent.core.quota.decide import Denial, DenialReason
from meter_agent.quota.figures import QuotaFigures


def test_decisions_are_counted_by_limit() -> None:
    figures = QuotaFigures()
    denial = Denial("daily", DenialReason.LIMIT_REACHED, 3)
    figures.denied(denial)
    figures.denied(Denial("", DenialReason.CUSTOMER_UNKNOWN, 0))
    figures.passed([denial, denial])
    figures.not_covered({"daily": 7})
    figures.not_covered({"daily": 3})
    figures.overran({"daily": 2})
    assert figures.refused == {("daily", "LIMIT_REACHED"): 1, ("", "CUSTOMER_UNKNOWN"): 1}
    assert (figures.exceeded, figures.uncovered, figures.overrun) == (
        {"daily": 2},
        {"daily": 10},
        {"daily": 2},
    )
