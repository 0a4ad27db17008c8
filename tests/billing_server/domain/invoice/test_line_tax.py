"""How a line is taxed: by the catalog, or as the invoice that it belongs to."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from billing_server.domain.catalog.model import OneTimePrice
from billing_server.domain.invoice.line_tax import catalog_tax, invoiced_tax
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import NOT_TAXED, LineTax, TaxBehavior, TaxExemption, TaxRate
from metering.period import Period

DECEMBER = Period(datetime(2020, 12, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
JANUARY = Period(DECEMBER.end, datetime(2021, 2, 1, tzinfo=UTC))
LOW = TaxRate(key="low", name="VAT", rate=Decimal("0.16"), country="DE", end=date(2021, 1, 1))
HIGH = TaxRate(key="high", name="VAT", rate=Decimal("0.19"), country="DE", start=date(2021, 1, 1))
PRICE = OneTimePrice(key="setup", amount=Decimal(1), tax_behavior=TaxBehavior.INCLUSIVE)
ACME = Customer(id="acme", country="DE")


def tax(customer: Customer, service: Period) -> LineTax:
    return catalog_tax([LOW, HIGH], customer=customer, price=PRICE, service=service)


def test_the_catalog_taxes_by_place_and_by_the_last_day_of_the_service() -> None:
    assert tax(ACME, DECEMBER) == LineTax((LOW.applied,), TaxBehavior.INCLUSIVE)
    assert tax(ACME, JANUARY) == LineTax((HIGH.applied,), TaxBehavior.INCLUSIVE)
    assert tax(Customer(id="small", country="de"), JANUARY).rates == (HIGH.applied,)
    assert tax(Customer(id="abroad", country="FR"), JANUARY).rates == ()
    assert tax(Customer(id="unknown"), JANUARY).rates == ()


def test_the_last_day_is_that_of_the_customers_zone() -> None:
    tokyo = Customer(id="acme", country="DE", timezone="Asia/Tokyo")
    until_noon = Period(DECEMBER.start, datetime(2020, 12, 31, 15, 0, 1, tzinfo=UTC))
    assert tax(tokyo, until_noon).rates == (HIGH.applied,)
    assert tax(ACME, until_noon).rates == (LOW.applied,)


def test_an_exempt_customer_has_no_rate() -> None:
    exempt = Customer(id="ngo", country="DE", tax_exempt=TaxExemption.EXEMPT)
    assert tax(exempt, JANUARY).rates == ()


@dataclass(frozen=True)
class Line:
    price: str
    service_period: Period
    tax: LineTax


def test_r76_what_an_invoice_carries_for_a_price_and_a_time_says_how_it_is_taxed() -> None:
    low, high = LineTax((LOW.applied,)), LineTax((HIGH.applied,))
    lines = [Line("calls", JANUARY, high), Line("calls", DECEMBER, low), Line("x", JANUARY, low)]
    assert invoiced_tax(lines, price_key="calls", service=DECEMBER) == low
    assert invoiced_tax(lines, price_key="calls", service=JANUARY) == high
    assert invoiced_tax(lines, price_key="y", service=JANUARY) is None
    untaxed = [Line("calls", JANUARY, NOT_TAXED)]
    assert invoiced_tax(untaxed, price_key="calls", service=JANUARY) == NOT_TAXED
