"""Invoices as pure functions of terms and usage: equal inputs give equal invoices (R38)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from billing_server.domain.invoice.fees import fees_due
from billing_server.domain.invoice.identities import check_identities
from billing_server.domain.invoice.inputs import inputs_sha256
from billing_server.domain.invoice.lines import (
    AlreadyInvoiced,
    BillingTerms,
    fee_line,
    late_usage_line,
    usage_lines,
)
from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceLine,
    InvoiceReason,
    InvoiceState,
    UnpricedUsage,
)
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.segment_usage import Used
from billing_server.domain.subscription.model import Customer
from metering.clock import format_instant
from metering.errors import InvalidStateError, InvariantError
from metering.money import Exact, Money
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


@dataclass(frozen=True, slots=True)
class NothingInvoiced:
    """What is invoiced for a price that had no usage yet."""

    quantity: Exact = ZERO
    """None shown."""
    amount_minor: int = 0
    """None charged."""
    late_sequence: int = 0
    """No late line."""


@dataclass(frozen=True, slots=True)
class InvoiceBuild:
    """A draft, and what could not stand on it."""

    invoice: Invoice | None
    """The draft; None where there is no line: such an invoice is not issued (R69)."""
    held_back: tuple[InvoiceLine, ...] = field(default=())
    """Late differences below zero. They are found again at the next build, until usage or a
    correction makes up for them: nothing is lost by leaving them out."""


def build_start(terms: BillingTerms) -> InvoiceBuild:
    """Builds the invoice of a subscription's start: the fees in advance of its first period."""
    period = terms.timeline.first_period()
    start = terms.timeline.subscription.start
    lines = [fee_line(terms, fee=fee) for fee in fees_due(terms.timeline, start=start, until=start)]
    if not lines:
        return InvoiceBuild(None)
    draft = _build(
        terms,
        reason=InvoiceReason.START,
        cause=terms.timeline.subscription.id,
        period=period,
        lines=lines,
    )
    return InvoiceBuild(draft)


def build_periodic(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod] = (),
) -> InvoiceBuild:
    """Builds the invoice of a period: its usage and arrears, and the next fees in advance (R63).

    Args:
        terms: of the subscription.
        period: of the subscription's timeline.
        quantities: by price and segment, the period's usage in the meter's unit; absent: none.
        late: earlier periods with late usage (R76), oldest first.
    """
    lines, held_back = _periodic_lines(terms, period=period, quantities=quantities, late=late)
    if not lines:
        return InvoiceBuild(None, held_back)
    draft = _build(
        terms,
        reason=InvoiceReason.PERIODIC,
        cause=format_instant(period.start),
        period=period,
        lines=lines,
        quantities=quantities,
        late=late,
    )
    return InvoiceBuild(draft, held_back)


def build_upcoming(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod] = (),
    unpriced: Sequence[UnpricedUsage] = (),
) -> Invoice:
    """Builds the draft of a period that still runs: `build_periodic` and what is unpriced.

    Lines and totals are made by the same functions, so that running and final amounts cannot
    differ. A draft without lines is shown all the same.

    Args:
        terms: of the subscription.
        period: of the subscription's timeline.
        quantities: by price and segment, the period's usage so far in the meter's unit.
        late: earlier periods with late usage (R76), oldest first.
        unpriced: usage of the period that no price charges (R32).
    """
    lines, _ = _periodic_lines(terms, period=period, quantities=quantities, late=late)
    return _build(
        terms,
        reason=InvoiceReason.PERIODIC,
        cause=format_instant(period.start),
        period=period,
        lines=lines,
        quantities=quantities,
        late=late,
        unpriced=unpriced,
    )


def _periodic_lines(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod],
) -> tuple[list[InvoiceLine], tuple[InvoiceLine, ...]]:
    _check_usage_keys(terms, period=period, quantities=quantities)
    # What fell due at the very start stands on the invoice before.
    due = fees_due(terms.timeline, start=period.start, until=period.end)
    fees = [fee_line(terms, fee=fee) for fee in due if fee.due_time > period.start]
    usage = [
        line
        for price, segment in terms.timeline.usage_segments(period)
        for line in usage_lines(
            terms, price=price, segment=segment, used=quantities.get(UsageKey.of(segment), ZERO)
        )
    ]
    order = {key: position for position, key in enumerate(terms.timeline.price_keys)}
    lines = sorted([*fees, *usage], key=lambda line: order[line.price])
    late_lines, held_back = _late_lines(terms, late=late)
    return lines + late_lines, held_back


def build_late(terms: BillingTerms, *, late: LatePeriod, sequence: int) -> InvoiceBuild:
    """Builds an invoice of late usage alone, for when no periodic one is due soon (R76).

    Args:
        terms: of the subscription.
        late: the period with late usage.
        sequence: 1 for the period's first late invoice, then 2, ….

    Returns:
        No invoice where the late usage costs nothing.
    """
    lines, held_back = _late_lines(terms, late=[late])
    if all(line.amount.amount_minor == 0 for line in lines):
        return InvoiceBuild(None, held_back)
    draft = _build(
        terms,
        reason=InvoiceReason.LATE,
        cause=f"{format_instant(late.period.start)}+{sequence}",
        period=late.period,
        lines=lines,
        late=[late],
    )
    return InvoiceBuild(draft, held_back)


def finalize(
    draft: Invoice, *, invoice_id: str, number: str, issue_time: datetime, due_time: datetime
) -> Invoice:
    """Returns the finalized form of a draft; its content never changes from here on (R66, R68).

    An invoice over zero is paid at once (R69).

    Args:
        draft: as built.
        invoice_id: `inv_…`.
        number: the next of the series.
        issue_time: now, UTC (R75).
        due_time: when it is to be paid, UTC.

    Raises:
        InvalidStateError: INVOICE_ALREADY_FINALIZED, INVOICE_EMPTY (R69).
    """
    if draft.state is not InvoiceState.DRAFT:
        raise InvalidStateError(
            reason="INVOICE_ALREADY_FINALIZED",
            message=f"invoice {draft.number} is {draft.state}; only a draft can be finalized",
        )
    if not draft.lines:
        raise InvalidStateError(
            reason="INVOICE_EMPTY", message="the draft has no lines; such an invoice is not issued"
        )
    is_settled = draft.amount_due.amount_minor == 0
    final = replace(
        draft,
        id=invoice_id,
        number=number,
        state=InvoiceState.PAID if is_settled else InvoiceState.FINALIZED,
        issue_time=issue_time,
        due_time=due_time,
        unpriced=(),
    )
    check_identities(final)
    return final


def _late_lines(
    terms: BillingTerms, *, late: Sequence[LatePeriod]
) -> tuple[list[InvoiceLine], tuple[InvoiceLine, ...]]:
    """Returns the lines of late usage, and those that would lower the invoice."""
    lines: list[InvoiceLine] = []
    held_back: list[InvoiceLine] = []
    for item in late:
        _check_usage_keys(terms, period=item.period, quantities=item.quantities)
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
                (held_back if line.amount.amount_minor < 0 else lines).append(line)
    return lines, tuple(held_back)


def _check_usage_keys(
    terms: BillingTerms, *, period: Period, quantities: Mapping[UsageKey, Used]
) -> None:
    known = {UsageKey.of(segment) for _, segment in terms.timeline.usage_segments(period)}
    unknown = sorted(set(quantities) - known)
    if unknown:
        raise InvariantError(
            reason="USAGE_WITHOUT_PRICE",
            message=f"subscription {terms.timeline.subscription.id!r} has no usage price "
            f"{', '.join(f'{key.price_key}[{key.segment}]' for key in unknown)} in the period "
            f"from {format_instant(period.start)}; its usage would be lost",
        )


def _build(
    terms: BillingTerms,
    *,
    reason: InvoiceReason,
    cause: str,
    period: Period,
    lines: Sequence[InvoiceLine],
    quantities: Mapping[UsageKey, Used] | None = None,
    late: Sequence[LatePeriod] = (),
    unpriced: Sequence[UnpricedUsage] = (),
) -> Invoice:
    currency = terms.plan.currency
    nothing = Money.zero(currency)
    subtotal = sum((line.amount for line in lines), start=nothing)
    invoice = Invoice(
        id="",
        reason=reason,
        cause=cause,
        customer_id=terms.customer.id,
        subscription_id=terms.timeline.subscription.id,
        currency=currency,
        period=period,
        seller=terms.seller,
        customer_details=customer_details(terms.customer),
        inputs_sha256=inputs_sha256(
            terms, reason=reason, cause=cause, period=period, quantities=quantities or {}, late=late
        ),
        lines=tuple(lines),
        subtotal=subtotal,
        discount=nothing,
        tax_total=nothing,
        total=subtotal,
        credit_notes_applied=nothing,
        credits_applied=nothing,
        amount_paid=nothing,
        amount_due=subtotal,
        unpriced=tuple(unpriced),
    )
    check_identities(invoice)
    return invoice


def customer_details(customer: Customer) -> dict[str, str]:
    """Returns what an invoice shows of the customer, copied so that it never changes (R74)."""
    details = {
        "name": customer.name or customer.id,
        "timezone": customer.timezone,
        "country": customer.country,
        "tax_id": customer.tax_id,
        "email": customer.email,
        "purchase_order": customer.purchase_order,
    }
    return {name: value for name, value in details.items() if value}
