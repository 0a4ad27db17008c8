"""Which tax rates apply: by the customer's place and exemption, the price's category, the time.

A rate is chosen by the last day of the service, not by the date of the invoice: so a draft and the
invoice made of it have the same tax, whenever it is issued, and usage that is counted late has the
tax of its own period. Tax law goes by the calendar: the day is that of the customer's zone.

Example: VAT of 16 % until 2021-01-01 and 19 % from then on. The last day of December is its 31st,
wherever the customer is: it is taxed at 16 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from billing_server.domain.tax.rate import AppliedRate, TaxExemption, TaxRate


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxPlace:
    """Where a customer is taxed, and whether it is."""

    country: str = ""
    """ISO 3166 code; empty: unknown, and no rate applies."""
    region: str = ""
    """Part of the country; empty: none is told, and only rates of the whole country apply."""
    timezone: tzinfo = UTC
    """By whose calendar a day begins and ends."""
    exemption: TaxExemption = TaxExemption.NONE
    """Whether the customer is charged tax."""


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
        service_end: when the line's service ends, UTC, exclusive: the day before it decides.
    """
    if place.exemption is not TaxExemption.NONE:
        return ()
    day = last_day(service_end, timezone=place.timezone)
    closest: dict[str, TaxRate] = {}
    for rate in rates:
        if not (_is_for(rate, place=place, category=category) and rate.is_law_on(day)):
            continue
        other = closest.get(rate.name)
        if other is None or _closeness(rate) > _closeness(other):
            closest[rate.name] = rate
    return tuple(closest[name].applied for name in sorted(closest))


def last_day(end: datetime, *, timezone: tzinfo) -> date:
    """Returns the day of the last instant before an end, by the calendar of a zone."""
    return (end - datetime.resolution).astimezone(timezone).date()


def _is_for(rate: TaxRate, *, place: TaxPlace, category: str) -> bool:
    return (
        rate.country == place.country
        and rate.region in {"", place.region}
        and rate.category in {"", category}
    )


def _closeness(rate: TaxRate) -> tuple[bool, bool]:
    return bool(rate.region), bool(rate.category)
