"""Explaining invoices: each line with its arithmetic, its price, its cost, and the way down.

What is explained is the document as it stands, issued or upcoming; nothing is rated anew.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from billing_server.domain.catalog.serialize import meter_to_dict, price_to_dict
from billing_server.domain.invoice.calculation import calculation_of
from billing_server.domain.ports.invoices import InvoiceContent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.event_cursor import event_cursor, event_position
from billing_server.services.line_terms import (
    LineTerms,
    find_line_terms,
    margin_of_lines,
    margin_to_dict,
)
from billing_server.services.line_usage import (
    LineEvent,
    LineScope,
    are_late_facts_known,
    events_of_line,
    series_of_line,
)
from billing_server.services.list_invoices import show_invoice
from billing_server.services.pages import Page, PageRequest
from billing_server.services.period_usage import folded
from billing_server.services.upcoming_invoice import upcoming_invoice
from metering.clock import format_instant
from metering.errors import InvalidStateError, NotFoundError
from metering.period import Period
from metering.quantity import plain_decimal, unscale_quantity

LATE_USAGE = "late_usage"
SERIES_MAX = 200
"""Sets of dimensions that the explanation of one line lists; what is beyond them is counted."""


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """Which document is explained: an issued invoice, or what a customer's next one would be."""

    number_or_id: str | None = None
    """Of an issued invoice."""
    customer_id: str | None = None
    """Whose upcoming invoice."""

    def read(self, context: ServiceContext) -> InvoiceContent:
        """Return the document in its JSON form.

        Raises:
            NotFoundError: INVOICE_NOT_FOUND, CUSTOMER_NOT_FOUND.
        """
        if self.number_or_id is not None:
            return show_invoice(context, number_or_id=self.number_or_id)
        return upcoming_invoice(context, customer_id=self.customer_id or "")


def explain_invoice(
    context: ServiceContext, *, document: DocumentRef, line_index: int | None = None
) -> dict[str, Any]:
    """Explain a document, or one line of it.

    Args:
        context: the world.
        document: which one.
        line_index: position of a line, from 0; None: all of them.

    Raises:
        NotFoundError: INVOICE_NOT_FOUND, CUSTOMER_NOT_FOUND, LINE_NOT_FOUND.
    """
    content = document.read(context)
    lines = content["lines"]
    wanted = range(len(lines)) if line_index is None else [_checked(line_index, content=content)]
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=content["customer"])
        known = [find_line_terms(unit, terms=terms, line=line) for line in lines]
        # Levels of what is not invoiced yet count up to now, as its lines do.
        at = context.clock.now() if content["number"] is None else None
        explained = [
            _explained_line(
                unit, terms=terms, content=content, index=index, known=known[index], at=at
            )
            for index in wanted
        ]
    margin = None
    if content["currency"] is not None:
        margin = margin_of_lines(lines, known=known, currency=content["currency"])
    head = ("number", "state", "reason", "customer", "currency", "period", "issue_time")
    return {
        **{name: content[name] for name in head},
        "lines": explained,
        "subtotal": content["subtotal"],
        "tax": content["tax"],
        "tax_total": content["tax_total"],
        "total": content["total"],
        "amount_due": content["amount_due"],
        "margin": margin_to_dict(margin),
    }


def list_line_events(
    context: ServiceContext, *, document: DocumentRef, line_index: int, page: PageRequest
) -> Page[dict[str, Any]]:
    """List the events that a line counts, in order of their time.

    Raises:
        NotFoundError: INVOICE_NOT_FOUND, CUSTOMER_NOT_FOUND, LINE_NOT_FOUND.
        InvalidStateError: LINE_WITHOUT_EVENTS, a fee has none.
    """
    content = document.read(context)
    line = content["lines"][_checked(line_index, content=content)]
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=content["customer"])
        known = find_line_terms(unit, terms=terms, line=line)
        scope = None if known is None else known.scope_of(line, number=content["number"])
        if scope is None:
            raise InvalidStateError(
                reason="LINE_WITHOUT_EVENTS",
                message=f"line {line_index} ({line['description']}) is a {line['kind']} and stands "
                "for no usage; ask for a line of kind usage or late_usage",
            )
        found = events_of_line(
            unit, terms=terms, scope=scope, after=event_position(page), limit=page.limit
        )
    following = found.next_position
    return Page(
        tuple(_event_to_dict(each, scope=scope) for each in found.events),
        event_cursor(following),
    )


def _explained_line(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    content: InvoiceContent,
    index: int,
    known: LineTerms | None,
    at: datetime | None,
) -> dict[str, Any]:
    line = content["lines"][index]
    scope = None if known is None else known.scope_of(line, number=content["number"])
    return {
        "line": index,
        **line,
        "calculation": list(calculation_of(line, currency=content["currency"])),
        "terms": None if known is None else _terms_to_dict(known),
        "usage": None
        if scope is None
        else _usage_to_dict(unit, terms=terms, scope=scope, line=line, at=at),
    }


def _terms_to_dict(known: LineTerms) -> dict[str, Any]:
    effective_from = known.plan.effective_from
    addon, override = known.addon, known.override
    return {
        "plan": known.plan.key,
        "plan_version": known.plan.version,
        "effective_from": None if effective_from is None else format_instant(effective_from),
        "addon": None if addon is None else {"key": addon.key, "version": addon.version},
        "override": None
        if override is None
        else {"start": format_instant(override.start), "set": dict(override.fields)},
        "share": None if known.share == 1 else _fraction_to_dict(known.share),
        "maximum_share": None
        if known.maximum_share is None
        else _fraction_to_dict(known.maximum_share),
        "price": price_to_dict(known.price),
        "meter": None if known.meter is None else meter_to_dict(known.meter),
    }


def _fraction_to_dict(share: Fraction) -> dict[str, int]:
    return {"numerator": share.numerator, "denominator": share.denominator}


def _usage_to_dict(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    scope: LineScope,
    line: Mapping[str, Any],
    at: datetime | None,
) -> dict[str, Any]:
    """Return what the usage of the line's period is made of now, by dimensions of its events."""
    members: dict[tuple[tuple[str, str], ...], list[SeriesUsage]] = defaultdict(list)
    for series in series_of_line(unit, terms=terms, scope=scope, at=at):
        members[tuple(sorted(series.dimensions.items()))].append(series)
    listed = sorted(members.items())[:SERIES_MAX]
    # A level is weighted by the whole period, of which a line may have a part.
    whole = terms.timelines[scope.subscription_id].cycle.whole_period_at(scope.period.start)
    every = [each for found in members.values() for each in found]
    quantity = _quantity(every, scope=scope, whole=whole)
    event_count = sum(each.event_count for each in every)
    are_facts_known = are_late_facts_known(unit, terms=terms, scope=scope)
    note = _note(line, quantity=quantity, are_facts_known=are_facts_known)
    if note is None and event_count == 0 and quantity != "0":
        note = "no event lies in the period: the level was set before it"
    return {
        "quantity": quantity,
        "note": note,
        "event_count": event_count,
        "by_dimensions": [
            {
                "dimensions": dict(dimensions),
                "quantity": _quantity(found, scope=scope, whole=whole),
                "event_count": sum(each.event_count for each in found),
            }
            for dimensions, found in listed
        ],
        "not_listed_count": len(members) - len(listed),
    }


def _note(line: Mapping[str, Any], *, quantity: str, are_facts_known: bool) -> str | None:
    """Return why the usage counted now is not what the line shows; None where it is."""
    if line["kind"] == LATE_USAGE:
        if are_facts_known:
            return (
                "the usage is that of the whole period; the line charges what was counted after "
                "it was invoiced, which are its events"
            )
        return (
            "the usage and its events are those of the whole period; the line charges what was "
            "counted after it was invoiced"
        )
    if quantity != line["quantity"]:
        return (
            f"{quantity} is counted for this period by now: what came after the invoice was "
            "issued stands on a later line of kind late_usage"
        )
    return None


def _quantity(found: list[SeriesUsage], *, scope: LineScope, whole: Period) -> str:
    return plain_decimal(folded(found, meter=scope.meter, span=whole))


def _event_to_dict(found: LineEvent, *, scope: LineScope) -> dict[str, Any]:
    quantity = unscale_quantity(found.value, decimals=scope.meter.decimals)
    received = found.receive_time_us
    return {
        "event_id": found.event_id,
        "event_time": _instant(found.event_time_us),
        "receive_time": None if received is None else _instant(received),
        "quantity": plain_decimal(quantity),
        "state": str(found.state),
        "reason": found.reason or None,
        "quantities": dict(sorted(found.quantities.items())),
        "dimensions": dict(sorted(found.dimensions.items())),
    }


def _instant(microseconds: int) -> str:
    return format_instant(instant_from_microseconds(microseconds))


def _checked(line_index: int, *, content: Mapping[str, Any]) -> int:
    count = len(content["lines"])
    if not 0 <= line_index < count:
        there = "it has no lines" if count == 0 else f"its lines are 0 to {count - 1}"
        raise NotFoundError(
            reason="LINE_NOT_FOUND",
            message=f"{content['number'] or 'the upcoming invoice'} has no line {line_index}; "
            f"{there}",
        )
    return line_index
