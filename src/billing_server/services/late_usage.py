"""Periods that received usage after they were invoiced (R76)."""

from collections.abc import Sequence

from billing_server.domain.invoice.late import LatePeriod
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
    marked = unit.billing_periods.with_late_usage(subscription_id)[:LATE_PERIODS_MAX]
    return tuple(
        LatePeriod(
            period=each.period,
            quantities=fold_period(
                unit, terms=terms, subscription_id=subscription_id, period=each.period
            ).quantities,
            invoiced=unit.invoices.invoiced_usage(
                subscription_id=subscription_id, period=each.period
            ),
            earlier=unit.invoices.lines_in(subscription_id=subscription_id, period=each.period),
        )
        for each in marked
    )


def clear_late_periods(
    unit: UnitOfWork,
    *,
    subscription_id: str,
    late: Sequence[LatePeriod],
    held_back: Sequence[InvoiceLine],
) -> None:
    """Note that late usage stands on an invoice; what was held back stays marked."""
    for each in late:
        is_kept = any(each.period.contains(line.service_period.start) for line in held_back)
        if not is_kept:
            unit.billing_periods.clear_late_usage(subscription_id, start=each.period.start)
