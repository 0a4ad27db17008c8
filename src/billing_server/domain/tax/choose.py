"""Which tax rates apply: by the customer's place and exemption, the price's category, the time.

A rate is chosen by the end of the service, not by the date of the invoice: so a draft and the
invoice made of it have the same tax, whenever it is issued, and usage that is counted late has the
tax of its own period.

Example: VAT of 16 % until 2021 and of 19 % from then on. December 2020 ends at the instant at which
19 % begins: it is taxed at 16 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.tax.rate import AppliedRate, TaxExemption, TaxRate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxPlace:
    """Where a customer is taxed, and whether it is."""

    country: str = ""
    """ISO 3166 code; empty: unknown, and no rate applies."""
    region: str = ""
    """Part of the country; empty: none is told, and only rates of the whole country apply."""
    exemption: TaxExemption = TaxExemption.NONE
    """Whether the customer is charged tax at all."""


def rates_for(
    rates: Iterable[TaxRate], *, place: TaxPlace, category: str, service_end: datetime
) -> tuple[AppliedRate, ...]:
    """Returns the rates of a line, one for each tax (each `name`), by name.

    Of several rates of one tax the closest wins: one of the customer's region before one of the
    whole country, and then one of the price's category before one of all categories.

    Args:
        rates: those of the catalog, without two of one scope at one time.
        place: of the customer.
        category: tax category of the price; empty: none, and only rates of all categories apply.
        service_end: when the line's service ends, UTC: the last instant before it decides.
    """
    if place.exemption is not TaxExemption.NONE:
        return ()
    closest: dict[str, TaxRate] = {}
    for rate in rates:
        if not _is_for(rate, place=place, category=category):
            continue
        if not rate.is_law_until(service_end):
            continue
        other = closest.get(rate.name)
        if other is None or _closeness(rate) > _closeness(other):
            closest[rate.name] = rate
    return tuple(closest[name].applied for name in sorted(closest))


def _is_for(rate: TaxRate, *, place: TaxPlace, category: str) -> bool:
    return (
        rate.country == place.country
        and rate.region in {"", place.region}
        and rate.category in {"", category}
    )


def _closeness(rate: TaxRate) -> tuple[bool, bool]:
    return bool(rate.region), bool(rate.category)
