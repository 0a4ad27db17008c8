"""Limits as the JSON of the API: amounts are decimal strings in the unit that people use."""

from typing import Any

from billing_server.domain.catalog.read_limit import limit_to_dict
from billing_server.domain.limit.in_force import LimitInForce
from billing_server.domain.ports.limits import AuditEntry, ThresholdEvent
from billing_server.edge.http.convert import instant_to_json
from billing_server.services.forget_agent import ForgottenAgent
from billing_server.services.limit_views import HeldShare, LimitView
from billing_server.services.prepaid_balance import PrepaidBalance
from metering.clock import format_instant
from metering.quantity import plain_decimal, unscale_quantity


def limit_view_to_json(view: LimitView) -> dict[str, Any]:
    """Return a limit of a customer as it stands."""
    limit, account, escrow = view.limit, view.account, view.escrow

    def amount(value: int) -> str:
        return plain_decimal(unscale_quantity(value, decimals=limit.decimals))

    return {
        "key": limit.key,
        "kind": str(limit.kind),
        "source": str(limit.source),
        "unit": unit_of(limit),
        "enforcement": str(limit.limit.enforcement),
        "window": {
            "id": view.span.window_id,
            "start": instant_to_json(view.span.start),
            "end": instant_to_json(view.span.end),
        },
        "max": amount(view.maximum),
        "used": amount(escrow.settled),
        "reserved": amount(view.reserved),
        "leased": amount(escrow.out),
        "unknown": amount(escrow.unknown),
        "presumed": amount(escrow.presumed),
        "left": amount(view.left),
        "unreserved": amount(account.unreserved),
        "overrun": amount(account.overrun),
        "estimate_error": amount(account.estimate_error),
        "allowance_used": amount(view.allowance_used),
        "allowance_left": amount(view.allowance_left),
        "released": amount(account.released),
        "bound": None if view.bound is None else amount(view.bound.total),
        "definition": limit_to_dict(limit.limit),
        "leases": [_share_to_json(share, limit=limit) for share in view.shares],
    }


def unit_of(limit: LimitInForce) -> str:
    """Return in what amounts of a limit are told: its meter's unit, a currency, or calls."""
    if limit.limit.is_money:
        return limit.currency
    return "call" if limit.meter is None else limit.meter.unit


def threshold_to_json(event: ThresholdEvent) -> dict[str, Any]:
    """Return a threshold that was passed. Amounts are in the limit's smallest unit."""
    return {
        "customer": event.key.customer_id,
        "limit": event.key.limit_key,
        "window": event.key.window_id,
        "share": plain_decimal(event.share),
        "direction": str(event.direction),
        "used_smallest_unit": event.used,
        "max_smallest_unit": event.maximum,
        "event_time": format_instant(event.event_time),
    }


def balance_to_json(balance: PrepaidBalance) -> dict[str, Any]:
    """Return a balance."""
    return {
        "customer": balance.customer_id,
        "currency": balance.currency,
        "amount": plain_decimal(balance.amount),
        "used": None if balance.used is None else plain_decimal(balance.used),
        "left": None if balance.left is None else plain_decimal(balance.left),
    }


def forgotten_to_json(forgotten: ForgottenAgent) -> dict[str, Any]:
    """Return what forgetting an agent came to."""
    return {
        "id": forgotten.agent.agent_id,
        "name": forgotten.agent.name,
        "lease_count": forgotten.lease_count,
        "forget_time": format_instant(forgotten.forget_time),
    }


def audit_to_json(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry of the audit."""
    return {
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": dict(entry.detail),
        "create_time": format_instant(entry.create_time),
    }


def _share_to_json(share: HeldShare, *, limit: LimitInForce) -> dict[str, Any]:
    lease = share.lease

    def amount(value: int) -> str:
        return plain_decimal(unscale_quantity(value, decimals=limit.decimals))

    return {
        "lease": lease.lease_id.hex(),
        "agent": share.agent_name,
        "state": str(lease.state),
        "granted": amount(lease.granted),
        "returned": amount(lease.returned),
        "settled": amount(lease.settled),
        "reserved": amount(min(lease.held, lease.rest)),
        "rest": amount(lease.rest),
        "rate_per_minute": amount(lease.rate_per_minute),
        "burst": amount(lease.burst),
        "is_recalled": lease.is_recalled,
        "report_time": instant_to_json(lease.report_time),
    }
