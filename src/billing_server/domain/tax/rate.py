"""Tax rates as frozen values, each for a place, a kind of goods and a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from typing import Final


class TaxBehavior(StrEnum):
    """Whether a price is without its tax or with it."""

    EXCLUSIVE = "exclusive"
    """Tax comes on top of the price."""
    INCLUSIVE = "inclusive"
    """The price has its tax inside."""


class TaxExemption(StrEnum):
    """Whether a customer is charged tax."""

    NONE = "none"
    """As everybody."""
    EXEMPT = "exempt"
    """No tax."""
    REVERSE_CHARGE = "reverse_charge"
    """No tax: the customer owes it to its own tax office, and the invoice says so (R99)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedRate:
    """What a document keeps of a rate: a copy, so that later edits never change it (R74)."""

    key: str
    """Of the rate in the catalog, 1..64 bytes."""
    name: str
    """Of the tax, for people, such as VAT."""
    rate: Decimal
    """Fraction of the base, 0 to 1: 0.19 is 19 %."""


@dataclass(frozen=True, slots=True)
class LineTax:
    """How one line is taxed."""

    rates: tuple[AppliedRate, ...] = ()
    """Each on the same base; empty: not at all."""
    behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    """Whether the line's amount has its tax inside."""


NOT_TAXED: Final = LineTax()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """A rate of one tax, in the country and for the time in which it is law."""

    key: str
    """Unique name, 1..64 bytes."""
    name: str
    """Of the tax. Rates of one name take each other's place; taxes of two names add up."""
    rate: Decimal
    """Fraction of the base, 0 to 1: 0.19 is 19 %."""
    country: str
    """ISO 3166 code of where it is law."""
    region: str = ""
    """Part of the country, such as a state; empty: all of it."""
    category: str = ""
    """Tax category of the prices that it is for; empty: all of them."""
    start: date | None = None
    """First day on which it is law, by the customer's calendar; None: from ever."""
    end: date | None = None
    """First day on which it no longer is; None: for ever."""

    @property
    def applied(self) -> AppliedRate:
        """Returns what documents keep of it."""
        return AppliedRate(key=self.key, name=self.name, rate=self.rate)

    @property
    def scope(self) -> tuple[str, str, str, str]:
        """Returns what one rate at a time may be for: tax, country, region and category."""
        return self.name, self.country, self.region, self.category

    def is_law_on(self, day: date) -> bool:
        """Tells whether it is law on a day."""
        has_begun = self.start is None or self.start <= day
        return has_begun and (self.end is None or day < self.end)


def overlapping_rates(rates: Sequence[TaxRate]) -> tuple[tuple[TaxRate, TaxRate], ...]:
    """Returns the pairs of rates of one scope that are law at one time: neither would win."""
    return tuple(
        (first, second)
        for first, second in combinations(rates, 2)
        if first.scope == second.scope and _meet(first, second)
    )


def _meet(first: TaxRate, second: TaxRate) -> bool:
    return not (_ends_before(first, second) or _ends_before(second, first))


def _ends_before(first: TaxRate, second: TaxRate) -> bool:
    return first.end is not None and second.start is not None and first.end <= second.start
