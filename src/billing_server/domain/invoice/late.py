"""Late usage: the difference between the whole re-rated period and what was invoiced (R76)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from billing_server.domain.invoice.late_usage import (
    AlreadyInvoiced,
    InvoicedPart,
    late_usage_lines,
)
from billing_server.domain.invoice.line_tax import invoiced_tax
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import InvoiceLine
from billing_server.domain.invoice.spend import EarlierLine, spend_lines
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.segment_usage import Used
from metering.clock import format_instant
from metering.errors import InvariantError
from metering.money import Exact
from metering.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePeriod:
    """An invoiced period in which usage was counted afterwards."""

    period: Period
    """The period in which the usage happened."""
    quantities: Mapping[UsageKey, Used]
    """By price and segment: all usage of the period, in the meter's unit."""
    invoiced: Mapping[UsageKey, AlreadyInvoiced]
    """By price and segment: what the invoices so far carry; absent: nothing."""
    earlier: Sequence[EarlierLine] = ()
    """Lines of the invoices so far whose service begins in the period."""


@dataclass(frozen=True, slots=True)
class NothingInvoiced:
    """What is invoiced for a price that had no usage yet."""

    quantity: Exact = ZERO
    """None shown."""
    amount_minor: int = 0
    """None charged."""
    late_sequence: int = 0
    """No late line."""
    groups: Mapping[str, InvoicedPart] = field(default_factory=dict)
    """No group."""


def late_lines(
    terms: BillingTerms, *, late: Sequence[LatePeriod]
) -> tuple[list[InvoiceLine], tuple[InvoiceLine, ...]]:
    """Returns the lines of late usage, and those that would lower the invoice.

    A commitment or a minimum is part of the difference: what it gives back for late usage stands
    beside that usage. Then the lines of a period stand together, or are held back together; else
    those of a price do, whose groups take from each other.
    """
    lines: list[InvoiceLine] = []
    held_back: list[InvoiceLine] = []
    for item in late:
        by_price = _usage_lines(terms, item=item)
        usage = [line for found in by_price for line in found]
        spend = spend_lines(terms, period=item.period, lines=usage, earlier=item.earlier)
        for together in [[*usage, *spend]] if spend else by_price:
            total = sum(line.amount.amount_minor for line in together)
            (lines if total >= 0 else held_back).extend(together)
    return lines, tuple(held_back)


def _usage_lines(terms: BillingTerms, *, item: LatePeriod) -> list[list[InvoiceLine]]:
    """Returns the late lines of each price and segment."""
    check_usage_keys(terms, period=item.period, quantities=item.quantities)
    return [
        late_usage_lines(
            terms,
            price=price,
            segment=segment,
            used=item.quantities.get(UsageKey.of(segment), ZERO),
            invoiced=item.invoiced.get(UsageKey.of(segment), NothingInvoiced()),
            tax=invoiced_tax(item.earlier, price_key=price.key, service=segment.span),
        )
        for price, segment in terms.timeline.usage_segments(item.period)
    ]


def check_usage_keys(
    terms: BillingTerms, *, period: Period, quantities: Mapping[UsageKey, Used]
) -> None:
    """Checks that every quantity of a period has a price.

    Raises:
        InvariantError: USAGE_WITHOUT_PRICE; what has none would be lost silently.
    """
    known = {UsageKey.of(segment) for _, segment in terms.timeline.usage_segments(period)}
    unknown = sorted(set(quantities) - known)
    if unknown:
        raise InvariantError(
            reason="USAGE_WITHOUT_PRICE",
            message=f"subscription {terms.timeline.subscription.id!r} has no usage price "
            f"{', '.join(f'{key.price_key}[{key.segment}]' for key in unknown)} in the period "
            f"from {format_instant(period.start)}; its usage would be lost",
        )
