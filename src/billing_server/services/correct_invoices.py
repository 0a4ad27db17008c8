"""What would make the invoices of a subscription right whose prices were wrong.

Issued invoices stay as they are (R66). What they charge is compared with what the corrected terms
charge for the same usage, by price and billing period.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from billing_server.domain.catalog.model import BillTiming, RecurringPrice
from billing_server.domain.invoice.build import InvoiceBuild, build_periodic, build_start
from billing_server.domain.invoice.correction import ChargedLine, Correction, corrections_of
from billing_server.domain.invoice.correction_tax import InvoicedLine, with_note_tax
from billing_server.domain.invoice.late import late_lines
from billing_server.domain.invoice.model import InvoiceLine
from billing_server.domain.invoice.serialize import line_tax_from_dict
from billing_server.domain.ports.invoices import InvoiceContent, InvoiceFilter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.tax.taxing import TaxableLine
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.late_usage import walk_late_periods
from billing_server.services.pages import PAGE_LIMIT_MAX
from billing_server.services.period_usage import fold_period
from metering.clock import parse_instant
from metering.money import Money
from metering.period import Period


def correct_invoices(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    corrected: Timeline,
    start: datetime,
    until: datetime,
) -> tuple[Correction, ...]:
    """Return what would make the invoices right that stand for time after an instant.

    One period and one page of invoices is held at a time, however many there are. Usage that came
    late counts: what of it stands on no invoice yet will be charged at the terms of its period,
    and is told beside.

    Args:
        unit: its reads see one state.
        terms: of the customer, as they are written.
        corrected: the subscription as it should have been, on the same grid of periods.
        start: from when on, UTC.
        until: end of the last invoiced period, UTC.
    """
    timeline = terms.timelines[corrected.subscription.id]
    builds = _corrected_builds(unit, terms=terms, corrected=corrected, start=start, until=until)
    late = _late_lines(unit, terms=terms, subscription_id=corrected.subscription.id)
    found = corrections_of(
        _since(start, _invoiced_lines(unit, timeline=timeline)),
        _since(start, (line for build in builds for line in _lines_of(build, timeline=timeline))),
        currency=timeline.plan.currency,
        late=_since(start, _charged(late, timeline=timeline)),
    )
    return with_note_tax(
        found, read=lambda number: _taxed_lines(unit, number=number, timeline=timeline)
    )


def ended_periods(corrected: Timeline, *, start: datetime, until: datetime) -> list[Period]:
    """Return the periods that are rated anew: those that end after `start`, and the one before.

    That one carries the fees in advance of the period that holds `start`, wherever in it that lies.
    """
    holding = corrected.period_at(start)
    since = start if holding is None else holding.start
    periods = corrected.periods_between(start=corrected.subscription.start, end=until)
    return [period for period in periods if period.end >= since]


def _since(start: datetime, lines: Iterator[ChargedLine]) -> Iterator[ChargedLine]:
    return (line for line in lines if line.period.end > start)


def _corrected_builds(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    corrected: Timeline,
    start: datetime,
    until: datetime,
) -> Iterator[InvoiceBuild]:
    """Walk the invoices of ended periods as they should have been, by the corrected terms alone.

    What stands on earlier invoices goes by those terms, too: a minimum is compared with the fee in
    advance as it should have been.
    """
    subscription_id = corrected.subscription.id
    changed = replace(terms, timelines={**terms.timelines, subscription_id: corrected})
    subscribed = changed.of_subscription(subscription_id)
    first = corrected.first_period()
    if start < first.end and not unit.subscriptions.is_start_invoice_due(subscription_id):
        yield build_start(subscribed)
    for period in ended_periods(corrected, start=start, until=until):
        usage = fold_period(unit, terms=changed, subscription_id=subscription_id, period=period)
        yield build_periodic(subscribed, period=period, quantities=usage.quantities)


def _late_lines(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str
) -> Iterator[InvoiceLine]:
    """Walk the late usage that stands on no invoice yet; what is held back is not charged."""
    subscribed = terms.of_subscription(subscription_id)
    for late in walk_late_periods(unit, terms=terms, subscription_id=subscription_id):
        charged, _ = late_lines(subscribed, late=[late])
        yield from charged


def _invoiced_lines(unit: UnitOfWork, *, timeline: Timeline) -> Iterator[ChargedLine]:
    """Walk what the issued invoices of a subscription charge that are not void."""
    wanted = InvoiceFilter(subscription_id=timeline.subscription.id)
    after: str | None = None
    while page := unit.invoices.page(wanted, after=after, limit=PAGE_LIMIT_MAX):
        for content in page:
            if content["state"] != "void":
                yield from _charged_lines(content, timeline=timeline)
        after = page[-1]["number"]


def _charged_lines(content: InvoiceContent, *, timeline: Timeline) -> Iterator[ChargedLine]:
    for line in content["lines"]:
        at = parse_instant(line["service_period"]["start"])
        period = _period_of(timeline, price_key=line["price"], at=at)
        if period is not None:
            amount = Money.from_decimal_string(line["amount"], content["currency"])
            yield ChargedLine(line["price"], period, amount, content["number"])


def _taxed_lines(unit: UnitOfWork, *, number: str, timeline: Timeline) -> list[InvoicedLine]:
    """Return the lines of an issued invoice with how they are taxed."""
    content = unit.invoices.by_number(number)
    lines: list[InvoicedLine] = []
    for line in [] if content is None else content["lines"]:
        start = parse_instant(line["service_period"]["start"])
        amount, share = (
            Money.from_decimal_string(line[field], timeline.plan.currency)
            for field in ("amount", "discount_share")
        )
        taxable = TaxableLine(amount=amount, discount_share=share, tax=line_tax_from_dict(line))
        lines.append(InvoicedLine(line["price"], timeline.period_at(start), taxable))
    return lines


def _lines_of(build: InvoiceBuild, *, timeline: Timeline) -> Iterator[ChargedLine]:
    lines = () if build.invoice is None else build.invoice.lines
    return _charged(iter(lines), timeline=timeline)


def _charged(lines: Iterator[InvoiceLine], *, timeline: Timeline) -> Iterator[ChargedLine]:
    for line in lines:
        period = _period_of(timeline, price_key=line.price, at=line.service_period.start)
        if period is not None:
            yield ChargedLine(line.price, period, line.amount)


def _period_of(timeline: Timeline, *, price_key: str, at: datetime) -> Period | None:
    """Return the period that a line is corrected in; None where the subscription does not run.

    A fee in arrears is corrected for all of its own period, which may be several billing periods: a
    change in one of them cuts it in two. One in advance stays as it was charged at its start.
    """
    period = timeline.period_at(at)
    price = next((each for each in timeline.plan_at(at).prices if each.key == price_key), None)
    if period is None or not isinstance(price, RecurringPrice) or price.billing_period is None:
        return period
    if price.bill is BillTiming.IN_ADVANCE:
        return period
    own = timeline.cycle_of(price).whole_period_at(at)
    end = timeline.subscription.end
    return Period(
        max(own.start, timeline.subscription.start), own.end if end is None else min(own.end, end)
    )
