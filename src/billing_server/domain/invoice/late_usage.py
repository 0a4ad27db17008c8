"""The lines of usage that was counted after its period was invoiced (R76)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Protocol

from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.invoice.lines import (
    BillingTerms,
    LineQuantities,
    invoiced_steps,
    make_line,
    price_description,
    rate_segment,
    usage_lines,
)
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.rating.exact import subtract
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.segment_usage import SegmentUsage, Used
from billing_server.domain.rating.usage import usage_terms
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.tax.rate import LineTax
from metering.money import Exact, Money
from metering.quantity import plain_decimal

ALL_GROUPS: Final = ""
"""Names a line of a price without groups among the groups."""


class InvoicedPart(Protocol):
    """What lines of earlier invoices carry."""

    @property
    def quantity(self) -> Exact:
        """Units that they show in all, in the meter's unit."""

    @property
    def amount_minor(self) -> int:
        """What they charge in all, in minor units."""


class AlreadyInvoiced(InvoicedPart, Protocol):
    """What the lines of earlier invoices carry for one price in one period."""

    @property
    def late_sequence(self) -> int:
        """Highest sequence of their late lines; 0: none is late. The next one is one higher."""

    @property
    def groups(self) -> Mapping[str, InvoicedPart]:
        """The same by group (`group_name`); empty: no line has one."""


def group_name(group: Mapping[str, str]) -> str:
    """Returns the group of a line as a key: canonical JSON, `ALL_GROUPS` where it has none."""
    return canonical_json(dict(group)) if group else ALL_GROUPS


def late_usage_lines(
    terms: BillingTerms,
    *,
    price: UsagePrice,
    segment: Segment,
    used: Used,
    invoiced: AlreadyInvoiced,
    tax: LineTax | None = None,
) -> list[InvoiceLine]:
    """Returns the lines of usage that was counted after its period was invoiced: one a group.

    The whole segment is rated again and what was invoiced for it is taken off: so late usage costs
    what it would have cost in time, with the tiers and included units of its period. A late event
    of one group may move the parts of the others: each has the difference of its own.

    Args:
        terms: of the subscription.
        price: that of the segment.
        segment: of the period in which the usage happened.
        used: all that was used in it, what was invoiced among it.
        invoiced: what earlier lines carry.
        tax: how they are taxed; None: there are none, and the catalog says it.

    Returns:
        Nothing where nothing changed.
    """
    lines = {
        group_name(line.group): line
        for line in usage_lines(terms, price=price, segment=segment, used=used)
    }
    before: Mapping[str, InvoicedPart] = invoiced.groups or {ALL_GROUPS: invoiced}
    sequence = invoiced.late_sequence + 1
    late = _LateSegment(terms, price, segment, used, sequence=sequence, tax=tax)
    return [
        late.line(lines.get(name), group=name, part=part)
        for name in sorted({*lines, *before})
        if not _is_invoiced(lines.get(name), part := before.get(name, _Nothing()))
    ]


@dataclass(frozen=True, slots=True)
class _Nothing:
    """What is invoiced for a group that had no usage yet."""

    quantity: Exact = ZERO
    amount_minor: int = 0


def _is_invoiced(line: InvoiceLine | None, part: InvoicedPart) -> bool:
    """Returns whether a line of the whole segment stands on invoices already, as it is."""
    quantity = ZERO if line is None else line.quantity
    amount_minor = 0 if line is None else line.amount.amount_minor
    is_counted = plain_decimal(quantity) == plain_decimal(part.quantity)
    return is_counted and amount_minor == part.amount_minor


@dataclass(frozen=True, slots=True)
class _LateSegment:
    """A segment whose late lines are made."""

    terms: BillingTerms
    price: UsagePrice
    segment: Segment
    used: Used
    sequence: int
    """Of the late lines, from 1."""
    tax: LineTax | None
    """How the lines so far are taxed; None: there are none."""

    def line(self, whole: InvoiceLine | None, *, group: str, part: InvoicedPart) -> InvoiceLine:
        """Returns the difference between the line of the whole segment and what is invoiced."""
        terms, price = self.terms, self.price
        before = Money(part.amount_minor, terms.plan.currency)
        amount = Money.zero(terms.plan.currency) if whole is None else whole.amount
        exact = ZERO if whole is None else whole.amount_exact
        values: Mapping[str, str] = json.loads(group) if group else {}
        return make_line(
            terms,
            price_key=price.key,
            segment=self.segment,
            kind=LineKind.LATE_USAGE,
            description=(
                f"{price_description(price, values)}: late usage ({amount.decimal_string()} for "
                f"the whole period less {before.decimal_string()} invoiced)"
            ),
            quantities=self._quantities(whole, part=part),
            unit=terms.meter_of(price).unit,
            exact=subtract(exact, Decimal(before.decimal_string())),
            amount=amount - before,
            steps=(*(() if whole is None else whole.steps), *invoiced_steps(before)),
            proration=self._amount_share,
            sequence=self.sequence,
            group=values,
            tax=self.tax,
        )

    @property
    def _amount_share(self) -> Fraction:
        meter = self.terms.meter_of(self.price)
        return usage_terms(self.price, meter=meter, share=self.segment.share).amount_share

    def _quantities(self, whole: InvoiceLine | None, *, part: InvoicedPart) -> LineQuantities:
        if self.price.group_by or isinstance(self.used, SegmentUsage):
            # What earlier lines included of single events and groups is not told apart.
            late = subtract(ZERO if whole is None else whole.quantity, part.quantity)
            return LineQuantities(late, ZERO, late)
        now, before = (
            rate_segment(self.terms, price=self.price, segment=self.segment, used=used)
            for used in (self.used, part.quantity)
        )
        return LineQuantities.of(now).less(LineQuantities.of(before))
