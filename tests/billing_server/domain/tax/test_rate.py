"""Tax rates: when they are law, and which of them stand in each other's way."""

from datetime import UTC, datetime
from decimal import Decimal

from billing_server.domain.tax.rate import AppliedRate, TaxRate, overlapping_rates

JULY = datetime(2020, 7, 1, tzinfo=UTC)
JANUARY = datetime(2021, 1, 1, tzinfo=UTC)


def vat(key: str, *, start: datetime | None = None, end: datetime | None = None) -> TaxRate:
    return TaxRate(key=key, name="VAT", rate=Decimal("0.19"), country="DE", start=start, end=end)


def test_a_rate_is_law_for_service_that_ends_in_its_time_its_start_excluded() -> None:
    rate = vat("low", start=JULY, end=JANUARY)
    ends = [JULY, JULY.replace(hour=1), JANUARY, JANUARY.replace(hour=1)]
    assert [rate.is_law_until(end) for end in ends] == [False, True, True, False]
    assert vat("ever").is_law_until(JULY)


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
