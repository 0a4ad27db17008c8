"""The upcoming invoice as it will be at the period's end, if usage goes on at its pace.

An estimate, and marked as one: nothing is ever invoiced from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from billing_server.domain.invoice.build import build_upcoming
from billing_server.domain.invoice.estimate import elapsed_share, project_quantities
from billing_server.domain.invoice.late import LatePeriod
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice
from billing_server.domain.invoice.serialize import line_to_dict
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.segment_usage import Used
from metering.clock import format_instant
from metering.money import Money
from metering.period import Period
from metering.quantity import plain_decimal

METHOD: Final = "linear_run_rate"
"""The one method: usage so far divided by the part of the period that has passed."""
SHARE_PLACES: Final = 6
ELAPSED_SHARE_MIN: Final = Fraction(1, 100)
"""Earlier than this a pace says nothing: one call in the first minute would become thousands."""


@dataclass(frozen=True, slots=True)
class PeriodEstimate:
    """Where one subscription's running period is heading."""

    draft: Invoice
    """What its invoice would be."""
    elapsed: Fraction
    """Part of the period that has passed, ≥ `ELAPSED_SHARE_MIN` and < 1."""


def estimate_period(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod],
    now: datetime,
    earlier: Sequence[EarlierLine] | None = None,
) -> PeriodEstimate | None:
    """Estimate the invoice of a running period; None outside it and in its first hundredth.

    Args:
        terms: of the subscription.
        period: of the subscription's timeline.
        quantities: by price and segment, the period's usage so far.
        late: earlier periods with late usage; it stands in the estimate as it is.
        now: UTC.
        earlier: lines of earlier invoices whose service begins in the period; None: by the terms.
    """
    elapsed = elapsed_share(period, now=now)
    if not ELAPSED_SHARE_MIN <= elapsed < 1:
        return None
    projected = project_quantities(
        terms.timeline.usage_segments(period),
        quantities=quantities,
        meters=terms.meters,
        now=now,
    )
    draft = build_upcoming(terms, period=period, quantities=projected, late=late, earlier=earlier)
    return PeriodEstimate(draft, elapsed)


def estimate_to_dict(
    estimates: Sequence[PeriodEstimate], *, now: datetime
) -> dict[str, Any] | None:
    """Return the estimates of a customer's running periods together; None where there is none."""
    if not estimates:
        return None
    nothing = Money.zero(estimates[0].draft.currency)
    total = sum((each.draft.total for each in estimates), start=nothing)
    return {
        "is_estimate": True,
        "method": METHOD,
        "as_of": format_instant(now),
        "tax_total": sum((each.draft.tax_total for each in estimates), nothing).decimal_string(),
        "total": total.decimal_string(),
        "periods": [
            {
                "subscription": each.draft.subscription_id,
                "start": format_instant(each.draft.period.start),
                "end": format_instant(each.draft.period.end),
                "elapsed_share": plain_decimal(each.elapsed, places=SHARE_PLACES),
                "tax_total": each.draft.tax_total.decimal_string(),
                "total": each.draft.total.decimal_string(),
                "lines": [line_to_dict(line) for line in each.draft.lines],
            }
            for each in estimates
        ],
    }
