"""Late usage: the difference between the whole re-rated period and what was invoiced (R76)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing_server.domain.invoice.lines import AlreadyInvoiced, BillingTerms, late_usage_line
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


def late_lines(
    terms: BillingTerms, *, late: Sequence[LatePeriod]
) -> tuple[list[InvoiceLine], tuple[InvoiceLine, ...]]:
    """Returns the lines of late usage, and those that would lower the invoice.

    A commitment or a minimum is part of the difference: what it gives back for late usage stands
    beside that usage. Then the lines of a period stand together, or are held back together.
    """
    lines: list[InvoiceLine] = []
    held_back: list[InvoiceLine] = []
    for item in late:
        usage = _usage_lines(terms, item=item)
        spend = spend_lines(terms, period=item.period, lines=usage, earlier=item.earlier)
        if spend:
            total = sum(line.amount.amount_minor for line in (*usage, *spend))
            (lines if total >= 0 else held_back).extend((*usage, *spend))
        else:
            lines += [line for line in usage if line.amount.amount_minor >= 0]
            held_back += [line for line in usage if line.amount.amount_minor < 0]
    return lines, tuple(held_back)


def _usage_lines(terms: BillingTerms, *, item: LatePeriod) -> list[InvoiceLine]:
    check_usage_keys(terms, period=item.period, quantities=item.quantities)
    found = []
    for price, segment in terms.timeline.usage_segments(item.period):
        key = UsageKey.of(segment)
        line = late_usage_line(
            terms,
            price=price,
            segment=segment,
            used=item.quantities.get(key, ZERO),
            invoiced=item.invoiced.get(key, NothingInvoiced()),
        )
        if line is not None:
            found.append(line)
    return found


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
