"""Counters by limit and what it counts: no customer is told apart."""

from meter_agent.core.quota.decide import Denial, DenialReason
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from meter_agent.quota.figures import LimitName, QuotaFigures, limit_name
from metering.limits import LimitKind

TOKENS = CustomerTerms(
    customer_id="acme",
    limits=(LimitTerms(limit_key="daily", kind=LimitKind.UNITS, quantity="output", decimals=2),),
)
MONEY = CustomerTerms(
    customer_id="other",
    limits=(LimitTerms(limit_key="daily", kind=LimitKind.MONEY, currency="USD", decimals=6),),
)
DAILY = LimitName("daily", "output", 2)


def test_decisions_are_counted_by_limit() -> None:
    figures = QuotaFigures()
    denial = Denial("daily", DenialReason.LIMIT_REACHED, 3)
    figures.denied(denial, terms=TOKENS)
    figures.denied(Denial("", DenialReason.CUSTOMER_UNKNOWN, 0), terms=None)
    figures.passed([denial, denial], terms=TOKENS)
    figures.not_covered({"daily": 7}, terms=TOKENS)
    figures.not_covered({"daily": 3}, terms=TOKENS)
    figures.not_covered({"daily": 900}, terms=MONEY)
    figures.overran({"daily": 2}, terms=TOKENS)
    assert figures.refused == {
        (DAILY, "LIMIT_REACHED"): 1,
        (("", "", 0), "CUSTOMER_UNKNOWN"): 1,
    }
    assert (figures.exceeded, figures.uncovered, figures.overrun) == (
        {DAILY: 2},
        {DAILY: 10, ("daily", "USD", 6): 900},
        {DAILY: 2},
    )


def test_slots_are_counted_in_calls_and_what_is_gone_in_nothing() -> None:
    slots = LimitTerms(limit_key="slots", kind=LimitKind.CONCURRENCY)
    terms = CustomerTerms(customer_id="acme", limits=(slots,))
    assert limit_name("slots", terms) == ("slots", "calls", 0)
    assert limit_name("gone", terms) == limit_name("gone", None) == ("gone", "", 0)
