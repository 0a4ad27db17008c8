"""Which rates a line has."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing_server.domain.tax.choose import TaxPlace, rates_for
from billing_server.domain.tax.rate import TaxExemption, TaxRate

NEW_YEAR = datetime(2021, 1, 1, tzinfo=UTC)
GERMANY = TaxPlace(country="DE")


def rate(key: str, name: str, fraction: str, country: str, **scope: str) -> TaxRate:
    return TaxRate(key=key, name=name, rate=Decimal(fraction), country=country, **scope)  # type: ignore[arg-type]


CANADA = (
    rate("gst", "GST", "0.05", "CA"),
    rate("pst-bc", "PST", "0.07", "CA", region="BC"),
    rate("pst-sk", "PST", "0.06", "CA", region="SK"),
)
SPAIN = (
    rate("iva", "IVA", "0.21", "ES"),
    rate("iva-books", "IVA", "0.04", "ES", category="books"),
    rate("iva-canarias", "IVA", "0.07", "ES", region="CN"),
    rate("iva-canarias-books", "IVA", "0", "ES", region="CN", category="books"),
)


def keys(
    rates: Sequence[TaxRate], place: TaxPlace, category: str = "", end: datetime = NEW_YEAR
) -> list[str]:
    found = rates_for(rates, place=place, category=category, service_end=end)
    return [each.key for each in found]


@pytest.mark.parametrize(
    ("region", "wanted"),
    [("BC", ["gst", "pst-bc"]), ("SK", ["gst", "pst-sk"]), ("ON", ["gst"]), ("", ["gst"])],
)
def test_taxes_of_different_names_add_up_where_each_is_law(region: str, wanted: list[str]) -> None:
    assert keys(CANADA, TaxPlace(country="CA", region=region)) == wanted


@pytest.mark.parametrize(
    ("region", "category", "wanted"),
    [
        ("", "", "iva"),
        ("", "saas", "iva"),
        ("", "books", "iva-books"),
        ("CN", "", "iva-canarias"),
        ("CN", "books", "iva-canarias-books"),
    ],
)
def test_of_one_tax_the_rate_of_the_region_and_then_of_the_category_wins(
    region: str, category: str, wanted: str
) -> None:
    place = TaxPlace(country="ES", region=region)
    assert keys(SPAIN, place, category) == [wanted]
    assert keys(SPAIN[::-1], place, category) == [wanted]


def test_a_rate_of_a_region_wins_over_one_of_a_category_of_the_whole_country() -> None:
    assert keys(SPAIN[:3], TaxPlace(country="ES", region="CN"), "books") == ["iva-canarias"]


def test_r43_a_rate_is_chosen_by_the_end_of_the_service() -> None:
    rates = [
        TaxRate(key="16", name="VAT", rate=Decimal("0.16"), country="DE", end=date(2021, 1, 1)),
        TaxRate(key="19", name="VAT", rate=Decimal("0.19"), country="DE", start=date(2021, 1, 1)),
    ]
    assert keys(rates, GERMANY, end=NEW_YEAR) == ["16"]
    assert keys(rates, GERMANY, end=NEW_YEAR.replace(second=1)) == ["19"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"])
def test_r43_the_day_of_a_rate_begins_where_the_customer_is(zone: str) -> None:
    rates = [
        TaxRate(key="16", name="VAT", rate=Decimal("0.16"), country="DE", end=date(2021, 1, 1)),
        TaxRate(key="19", name="VAT", rate=Decimal("0.19"), country="DE", start=date(2021, 1, 1)),
    ]
    place = TaxPlace(country="DE", timezone=ZoneInfo(zone))
    midnight = datetime(2021, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert keys(rates, place, end=midnight) == ["16"]
    assert keys(rates, place, end=midnight.replace(microsecond=1)) == ["19"]


def test_another_country_and_an_unknown_one_have_no_tax() -> None:
    assert keys(SPAIN, GERMANY) == []
    assert keys(SPAIN, TaxPlace()) == []


@pytest.mark.parametrize("exemption", [TaxExemption.EXEMPT, TaxExemption.REVERSE_CHARGE])
def test_a_customer_that_is_exempt_or_owes_the_tax_itself_has_no_rate(
    exemption: TaxExemption,
) -> None:
    assert keys(SPAIN, TaxPlace(country="ES", exemption=exemption)) == []
