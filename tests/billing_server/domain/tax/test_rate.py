"""Tax rates: when they are law, and which of them stand in each other's way."""

from datetime import date
from decimal import Decimal

from billing_server.domain.tax.rate import AppliedRate, TaxRate, overlapping_rates

JULY = date(2020, 7, 1)
JANUARY = date(2021, 1, 1)


def vat(key: str, *, start: date | None = None, end: date | None = None) -> TaxRate:
    return TaxRate(key=key, name="VAT", rate=Decimal("0.19"), country="DE", start=start, end=end)


def test_a_rate_is_law_from_its_first_day_until_the_day_that_is_none() -> None:
    rate = vat("low", start=JULY, end=JANUARY)
    days = [date(2020, 6, 30), JULY, date(2020, 12, 31), JANUARY]
    assert [rate.is_law_on(day) for day in days] == [False, True, True, False]
    assert vat("ever").is_law_on(JULY)


def test_rates_of_one_scope_that_are_law_at_one_time_are_found() -> None:
    before, low, after = vat("a", end=JULY), vat("b", start=JULY, end=JANUARY), vat("c", start=JULY)
    assert overlapping_rates([before, low]) == ()
    assert overlapping_rates([before, low, after]) == ((low, after),)


def test_rates_of_other_places_categories_or_taxes_do_not_overlap() -> None:
    rates = [
        TaxRate(key="a", name="GST", rate=Decimal("0.05"), country="CA"),
        TaxRate(key="b", name="PST", rate=Decimal("0.07"), country="CA"),
        TaxRate(key="c", name="PST", rate=Decimal("0.07"), country="CA", region="BC"),
        TaxRate(key="d", name="PST", rate=Decimal(0), country="CA", category="books"),
        TaxRate(key="e", name="PST", rate=Decimal("0.07"), country="US"),
    ]
    assert overlapping_rates(rates) == ()


def test_a_document_keeps_key_name_and_fraction_of_a_rate() -> None:
    assert vat("de-vat").applied == AppliedRate(key="de-vat", name="VAT", rate=Decimal("0.19"))
