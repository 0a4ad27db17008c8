"""The hash of everything that the amounts of an invoice depend on (R38)."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from billing_server.domain.catalog.serialize import (
    canonical_json,
    customer_to_dict,
    meter_to_dict,
    plan_to_dict,
)
from billing_server.domain.invoice.late_usage import AlreadyInvoiced
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import InvoiceReason
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.segment_usage import SegmentUsage, Used
from billing_server.domain.tax.rate import LineTax
from metering.clock import format_instant
from metering.period import Period
from metering.quantity import plain_decimal


class LateUsage(Protocol):
    """An invoiced period in which usage was counted afterwards."""

    @property
    def period(self) -> Period:
        """The period in which the usage happened."""

    @property
    def quantities(self) -> Mapping[UsageKey, Used]:
        """By price and segment: all usage of the period."""

    @property
    def invoiced(self) -> Mapping[UsageKey, AlreadyInvoiced]:
        """By price and segment: what the invoices so far carry."""

    @property
    def earlier(self) -> Sequence[EarlierLine]:
        """Lines of the invoices so far whose service begins in the period."""


def inputs_sha256(
    terms: BillingTerms,
    *,
    reason: InvoiceReason,
    cause: str,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LateUsage] = (),
    earlier: Sequence[EarlierLine] = (),
    taxes: Mapping[str, LineTax] | None = None,
) -> str:
    """Returns the hash of an invoice's inputs, 64 hexadecimal digits.

    Ids, numbers and times of issue are no inputs: a draft and the invoice made of it share theirs.
    `taxes` are the taxed lines by charge key, with the rates that were chosen for them.
    """
    subscription = terms.timeline.subscription
    inputs: dict[str, object] = {
        "reason": str(reason),
        "cause": cause,
        "customer": customer_to_dict(terms.customer),
        "seller": dict(terms.seller),
        "quantities_set": {
            key: plain_decimal(value) for key, value in sorted(subscription.quantities.items())
        },
        "subscription": {
            "id": subscription.id,
            "customer": subscription.customer_id,
            "start": format_instant(subscription.start),
            "end": _instant_or_none(subscription.end),
            "anchor": _instant_or_none(subscription.anchor),
        },
        "timezone": terms.timeline.timezone,
        "phases": [
            {"start": format_instant(phase.start), "plan": plan_to_dict(phase.plan)}
            for phase in terms.timeline.phases
        ],
        "meters": [meter_to_dict(terms.meters[key]) for key in _meter_keys(terms)],
        "period": _span(period),
        "quantities": _plain(quantities),
        "late": [_late(item) for item in late],
        "earlier": _earlier(earlier),
    }
    if taxes:
        # Left out without tax: invoices from before there was any keep their hash.
        inputs["tax"] = {key: _tax(tax) for key, tax in taxes.items()}
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()


def _tax(tax: LineTax) -> list[object]:
    rates = [[rate.key, rate.name, plain_decimal(rate.rate)] for rate in tax.rates]
    return [str(tax.behavior), rates]


def _late(item: LateUsage) -> dict[str, object]:
    return {
        "period": _span(item.period),
        "quantities": _plain(item.quantities),
        "invoiced": {_name(key): _invoiced(value) for key, value in item.invoiced.items()},
        "earlier": _earlier(item.earlier),
    }


def _invoiced(value: AlreadyInvoiced) -> list[object]:
    groups = {
        name: [plain_decimal(part.quantity), part.amount_minor]
        for name, part in value.groups.items()
    }
    found = [plain_decimal(value.quantity), value.amount_minor, value.late_sequence]
    return [*found, groups] if groups else found


def _earlier(lines: Sequence[EarlierLine]) -> dict[str, int]:
    return {line.charge_key: line.amount_minor for line in lines}


def _meter_keys(terms: BillingTerms) -> list[str]:
    prices = [price for phase in terms.timeline.phases for price in phase.plan.usage_prices]
    return sorted({price.meter for price in prices} & terms.meters.keys())


def _plain(quantities: Mapping[UsageKey, Used]) -> dict[str, object]:
    # A price without usage and a price with a usage of zero give the same invoice.
    return {_name(key): _used(value) for key, value in quantities.items() if value}


def _used(used: Used) -> object:
    """Returns a plain quantity as text; events, which may be many, as one hash."""
    if not isinstance(used, SegmentUsage):
        return plain_decimal(used)
    return {
        "quantity": plain_decimal(used.quantity),
        "events": _events(used.events),
        "groups": [
            [dict(group.group), plain_decimal(group.quantity), _events(group.events)]
            for group in used.groups
        ],
    }


def _events(events: Sequence[EventUsage]) -> str:
    digest = hashlib.sha256()
    for event in events:
        text = f"{plain_decimal(event.quantity)}:{plain_decimal(event.amount)};"
        digest.update((text if event.is_event else f"adjusted:{text}").encode())
    return digest.hexdigest() if events else ""


def _name(key: UsageKey) -> str:
    return f"{key.price_key}|{key.segment}"


def _span(period: Period) -> list[str]:
    return [format_instant(period.start), format_instant(period.end)]


def _instant_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
