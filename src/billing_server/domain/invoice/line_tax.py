"""How lines are taxed: by the catalog, or, what belongs to an issued invoice, as that one is (R76).

Example: usage of December is counted in January, when the catalog has another rate for December
than the invoice of December was made with: the late line has that of the invoice.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from billing_server.domain.catalog.model import Price
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.choose import TaxPlace, rates_for
from billing_server.domain.tax.rate import LineTax, TaxRate
from metering.period import Period, time_zone


class TaxedLine(Protocol):
    """A line of an issued invoice."""

    @property
    def price(self) -> str:
        """Key of its price."""

    @property
    def service_period(self) -> Period:
        """When its service was given."""

    @property
    def tax(self) -> LineTax:
        """How it is taxed."""


def catalog_tax(
    rates: Sequence[TaxRate], *, customer: Customer, price: Price, service: Period
) -> LineTax:
    """Returns how the catalog taxes a price.

    Args:
        rates: of the catalog.
        customer: who is invoiced.
        price: what for.
        service: of the line.
    """
    if not rates:
        return LineTax(behavior=price.tax_behavior)
    place = TaxPlace(
        country=customer.country.upper(),
        region=customer.region,
        timezone=time_zone(customer.timezone),
        exemption=customer.tax_exempt,
    )
    chosen = rates_for(rates, place=place, category=price.tax_category, service_end=service.end)
    return LineTax(chosen, price.tax_behavior)


def invoiced_tax(lines: Iterable[TaxedLine], *, price_key: str, service: Period) -> LineTax | None:
    """Returns how invoices have taxed a price for a time; None where they do not carry it."""
    for line in lines:
        if line.price == price_key and line.service_period == service:
            return line.tax
    return None
