"""Which fixed fees fall due, and when."""

from collections.abc import Callable
from datetime import UTC, datetime

from billing_server.domain.invoice.fees import fees_due
from billing_server.domain.invoice.lines import BillingTerms
from metering.period import Period

Make = Callable[..., BillingTerms]


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def shown(terms: BillingTerms, start: datetime, until: datetime) -> list[tuple[str, Period]]:
    fees = fees_due(terms.timeline, start=start, until=until)
    return [(fee.price.key, fee.segment.span) for fee in fees]


def test_r64_a_fee_in_advance_is_due_at_the_start_of_its_period_and_one_in_arrears_at_the_end(
    make_terms: Make,
) -> None:
    terms = make_terms(start=at(1, 17))
    assert shown(terms, at(1, 17), at(1, 17)) == [("base", Period(at(1, 17), at(2, 1)))]
    assert shown(terms, at(1, 18), at(2, 1)) == [
        ("base", Period(at(2, 1), at(3, 1))),
        ("support", Period(at(1, 17), at(2, 1))),
    ]


def test_no_fee_is_due_before_the_start_or_in_advance_of_the_end(make_terms: Make) -> None:
    terms = make_terms(start=at(1, 17), end=at(2, 1))
    assert shown(terms, at(1, 1), at(1, 10)) == []
    # The fee in arrears of January, and nothing in advance.
    assert shown(terms, at(2, 1), at(2, 1)) == [("support", Period(at(1, 17), at(2, 1)))]
    assert shown(terms, at(1, 18), at(2, 1)) == [("support", Period(at(1, 17), at(2, 1)))]
