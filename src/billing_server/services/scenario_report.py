"""What a played scenario came to, in the form of the contract and as a timeline for people."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from billing_server.domain.ports.invoices import InvoiceContent, InvoiceFilter
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.late_usage import held_back_lines
from billing_server.services.list_customers import list_customers
from billing_server.services.list_invoices import list_invoices
from billing_server.services.list_quarantine import list_quarantine
from billing_server.services.list_subscriptions import current_period, list_subscriptions
from billing_server.services.pages import PAGE_LIMIT_MAX, Page, PageRequest
from billing_server.services.unpriced_alerts import list_alerts
from metering.clock import format_instant, parse_instant
from metering.money import Money

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """Something that happened."""

    time: datetime
    """When, UTC."""
    kind: str
    """Such as `customer.created`."""
    details: Mapping[str, str]
    """Of what."""


def scenario_report(
    context: ServiceContext, *, events: tuple[ScenarioEvent, ...]
) -> dict[str, Any]:
    """Return what a scenario came to: equal scenarios give equal reports."""
    invoices = list(_every(lambda page: list_invoices(context, page=page, wanted=InvoiceFilter())))
    customers = list(_every(lambda page: list_customers(context, page=page)))
    subscriptions = list(_every(lambda page: list_subscriptions(context, page=page)))
    shown_subscriptions = []
    for each in subscriptions:
        current = current_period(context, subscription=each)
        shown_subscriptions.append(
            {
                "id": each.id,
                "customer": each.customer_id,
                "plan": each.plan_key,
                "plan_version": each.version_at(context.clock.now()),
                "start": format_instant(each.start),
                "end": None if each.end is None else format_instant(each.end),
                "current_period": None
                if current is None
                else {
                    "start": format_instant(current.start),
                    "end": format_instant(current.end),
                },
            }
        )
    return {
        "invoices": invoices,
        "credit_notes": [],
        "subscriptions": shown_subscriptions,
        "balances": {
            customer.id: {customer.currency: _empty_balance(customer.currency)}
            for customer in customers
            if customer.currency is not None
        },
        "ledger": [],
        "events": _all_events(context, events=events, invoices=invoices),
    }


def _every(read: Callable[[PageRequest], Page[Entry]]) -> Iterator[Entry]:
    cursor: str | None = None
    while True:
        page = read(PageRequest(cursor=cursor, limit=PAGE_LIMIT_MAX))
        yield from page.entries
        cursor = page.next_cursor
        if cursor is None:
            return


def _empty_balance(currency: str) -> dict[str, Any]:
    zero = Money.zero(currency).decimal_string()
    return {"account": zero, "credits": zero, "available": zero, "grants": []}


def _all_events(
    context: ServiceContext,
    *,
    events: tuple[ScenarioEvent, ...],
    invoices: list[InvoiceContent],
) -> list[dict[str, str]]:
    """Return what happened, in order of time."""
    found = [
        {"time": format_instant(event.time), "event": event.kind, **event.details}
        for event in events
    ]
    found += [
        {
            "time": str(invoice["issue_time"]),
            "event": "invoice.issued",
            "customer": str(invoice["customer"]),
            "invoice": str(invoice["number"]),
            "reason": str(invoice["reason"]),
            "total": f"{invoice['total']} {invoice['currency']}",
        }
        for invoice in invoices
    ]
    found += [
        {
            "time": format_instant(waiting.receive_time),
            "event": "usage.quarantined",
            "customer": waiting.customer_id,
            "event_id": waiting.event_id,
            "reason": waiting.reason,
        }
        for waiting in _every(lambda page: list_quarantine(context, page=page))
    ]
    found += [*_alert_events(context), *_held_back_events(context)]
    # A stable sort: what happened at one instant stays in the order in which it was written down.
    return sorted(found, key=lambda event: parse_instant(event["time"]))


def _alert_events(context: ServiceContext) -> Iterator[dict[str, str]]:
    """Walk the alerts: usage without a price, and when there was one."""
    for alert in _every(lambda page: list_alerts(context, page=page)):
        values = " ".join(f"{key}={value}" for key, value in sorted(alert.dimensions.items()))
        told = {"customer": alert.customer_id, "usage": f"{alert.meter_key} {values}".rstrip()}
        yield {"time": format_instant(alert.usage_time), "event": "usage.unpriced", **told}
        if alert.close_time is not None:
            yield {"time": format_instant(alert.close_time), "event": "usage.priced", **told}


def _held_back_events(context: ServiceContext) -> Iterator[dict[str, str]]:
    """Walk what is owed at the end for usage that was taken back after it was invoiced (R76)."""
    for customer in _every(lambda page: list_customers(context, page=page)):
        with context.store.read() as unit:
            terms = load_customer_terms(unit, customer_id=customer.id)
            for subscription_id in terms.timelines:
                lines = held_back_lines(unit, terms=terms, subscription_id=subscription_id)
                if lines:
                    owed = sum((line.amount for line in lines[1:]), start=lines[0].amount)
                    yield {
                        "time": format_instant(context.clock.now()),
                        "event": "usage.held_back",
                        "customer": customer.id,
                        "subscription": subscription_id,
                        "amount": f"{(-owed).decimal_string()} {owed.currency}",
                    }
