"""Periods that received usage after they were invoiced (R76)."""

from collections.abc import Iterator, Sequence
from itertools import islice

from billing_server.domain.invoice.late import LatePeriod, late_lines
from billing_server.domain.invoice.model import InvoiceLine
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.period_usage import fold_period

LATE_PERIODS_MAX = 24
"""Late periods taken onto one invoice; the next one takes more."""


def find_late_periods(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str
) -> tuple[LatePeriod, ...]:
    """Fold every invoiced period of a subscription that was marked as having late usage."""
    walk = walk_late_periods(unit, terms=terms, subscription_id=subscription_id)
    return tuple(islice(walk, LATE_PERIODS_MAX))


def walk_late_periods(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str
) -> Iterator[LatePeriod]:
    """Walk the same periods without a bound, one folded at a time, oldest first."""
    for each in unit.billing_periods.with_late_usage(subscription_id):
        usage = fold_period(unit, terms=terms, subscription_id=subscription_id, period=each.period)
        yield LatePeriod(
            period=each.period,
            quantities=usage.quantities,
            invoiced=unit.invoices.invoiced_usage(
                subscription_id=subscription_id, period=each.period
            ),
            earlier=unit.invoices.lines_in(subscription_id=subscription_id, period=each.period),
        )


def held_back_lines(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str
) -> tuple[InvoiceLine, ...]:
    """Return what invoiced periods charged too much, for usage that was taken back since (R76)."""
    late = find_late_periods(unit, terms=terms, subscription_id=subscription_id)
    return late_lines(terms.of_subscription(subscription_id), late=late)[1]


def clear_late_periods(
    unit: UnitOfWork,
    *,
    subscription_id: str,
    late: Sequence[LatePeriod],
    held_back: Sequence[InvoiceLine],
    number: str | None,
) -> None:
    """Note that late usage stands on an invoice; what was held back stays marked.

    Args:
        unit: holds the customer.
        subscription_id: whose periods.
        late: what was looked at.
        held_back: lines that could not stand on the invoice.
        number: of the invoice; None: none was issued.
    """
    for each in late:
        is_kept = any(each.period.contains(line.service_period.start) for line in held_back)
        if not is_kept:
            unit.billing_periods.clear_late_usage(subscription_id, start=each.period.start)
            if number is not None:
                unit.late_facts.assign(
                    subscription_id, period_start=each.period.start, number=number
                )
