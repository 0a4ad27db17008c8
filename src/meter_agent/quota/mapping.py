"""Between the protocol's messages of leases and terms and the agent's own state."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from google.protobuf.duration_pb2 import Duration

from meter_agent.core.quota.demand import Demand
from meter_agent.core.quota.estimate import PriceBound, PriceStep
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.sync import LeaseNews
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms
from metering.api.v1 import lease_pb2
from metering.limits import Enforcement, ExpiryBilling, LimitKind, OfflinePolicy

_KINDS: Final = {
    lease_pb2.LIMIT_KIND_UNITS: LimitKind.UNITS,
    lease_pb2.LIMIT_KIND_MONEY: LimitKind.MONEY,
    lease_pb2.LIMIT_KIND_RATE: LimitKind.RATE,
    lease_pb2.LIMIT_KIND_CONCURRENCY: LimitKind.CONCURRENCY,
    lease_pb2.LIMIT_KIND_ROLLING: LimitKind.ROLLING,
}
_ENFORCEMENTS: Final = {
    lease_pb2.ENFORCEMENT_HARD: Enforcement.HARD,
    lease_pb2.ENFORCEMENT_SOFT: Enforcement.SOFT,
    lease_pb2.ENFORCEMENT_SHADOW: Enforcement.SHADOW,
}
_OFFLINE: Final = {
    lease_pb2.OFFLINE_POLICY_CLOSED: OfflinePolicy.CLOSED,
    lease_pb2.OFFLINE_POLICY_ALLOWANCE: OfflinePolicy.ALLOWANCE,
    lease_pb2.OFFLINE_POLICY_OPEN: OfflinePolicy.OPEN,
}
_EXPIRY: Final = {
    lease_pb2.EXPIRY_BILLING_UNSPECIFIED: ExpiryBilling.NOTHING,
    lease_pb2.EXPIRY_BILLING_INPUT: ExpiryBilling.INPUT,
    lease_pb2.EXPIRY_BILLING_USED_SO_FAR: ExpiryBilling.USED_SO_FAR,
    lease_pb2.EXPIRY_BILLING_MAX: ExpiryBilling.MAX,
}
_ZERO: Final = Decimal(0)


def terms_from_proto(message: lease_pb2.CustomerTerms, *, sent_at_us: int | None) -> CustomerTerms:
    """Returns the terms of a customer. A kind that this agent does not know is left out.

    Args:
        message: As told.
        sent_at_us: Clock of leases when the request was sent: windows end counted from there; None
            where that is not known any more.
    """
    return CustomerTerms(
        customer_id=message.customer_id,
        revision=message.revision,
        limits=tuple(
            _limit(limit, sent_at_us=sent_at_us) for limit in message.limits if limit.kind in _KINDS
        ),
        is_unknown=message.is_unknown,
    )


def stored_terms(raw: bytes) -> CustomerTerms:
    """Returns terms as they lie on disk: when their windows end is not known any more."""
    return terms_from_proto(lease_pb2.CustomerTerms.FromString(raw), sent_at_us=None)


def news_from_proto(message: lease_pb2.LeaseCounters) -> LeaseNews:
    """Returns what the server said of one lease."""
    remaining = message.remaining_duration
    return LeaseNews(
        lease_id=message.lease_id,
        customer_id=message.customer_id,
        limit_key=message.limit_key,
        window_id=message.window_id,
        granted=message.granted,
        returned=message.returned,
        settled=message.settled,
        recall_no=message.recall_no,
        remaining_us=_us(remaining) if message.HasField("remaining_duration") else None,
        starts_after_us=_us(message.starts_after),
        rate_per_minute=message.rate_per_minute,
        burst=message.burst,
        is_closed=message.is_closed,
    )


def counters_to_proto(lease: Lease) -> lease_pb2.LeaseCounters:
    """Returns a lease's counters as they are reported; a share that was given back is none."""
    return lease_pb2.LeaseCounters(
        lease_id=lease.lease_id,
        customer_id=lease.customer_id,
        limit_key=lease.limit_key,
        window_id=lease.window_id,
        granted=lease.granted,
        returned=lease.returned,
        consumed=lease.consumed,
        held=lease.held,
        recall_no=lease.recall_no,
        is_closed=lease.is_closed,
        rate_per_minute=lease.rate_per_minute,
        burst=lease.burst if lease.rate_per_minute else 0,
    )


def want_to_proto(key: tuple[str, str], demand: Demand, *, now_us: int) -> lease_pb2.LeaseWant:
    """Returns demand as it is reported.

    Args:
        key: Customer id and limit key.
        demand: For that limit.
        now_us: Clock of leases.
    """
    customer_id, limit_key = key
    return lease_pb2.LeaseWant(
        customer_id=customer_id,
        limit_key=limit_key,
        demand_per_second=demand.per_second(now_us),
        largest_call=demand.largest_call,
        outage_float=demand.outage_float(now_us),
    )


def _limit(message: lease_pb2.LimitTerms, *, sent_at_us: int | None) -> LimitTerms:
    ends_at_us = None
    if sent_at_us is not None and message.HasField("window_remaining"):
        ends_at_us = sent_at_us + _us(message.window_remaining)
    return LimitTerms(
        limit_key=message.limit_key,
        kind=_KINDS[message.kind],
        quantity=message.quantity,
        where=dict(message.where),
        is_count=message.is_count,
        decimals=message.decimals,
        max=message.max,
        # What a newer server says and this agent does not know is taken at its strictest.
        enforcement=_ENFORCEMENTS.get(message.enforcement, Enforcement.HARD),
        when_offline=_OFFLINE.get(message.when_offline, OfflinePolicy.CLOSED),
        allowance=message.allowance,
        bill_on_expiry=_EXPIRY.get(message.bill_on_expiry, ExpiryBilling.NOTHING),
        currency=message.currency,
        prices=_prices(message.prices),
        window_id=message.window_id,
        window_ends_at_us=ends_at_us,
        remaining=message.remaining,
    )


def _prices(messages: Sequence[lease_pb2.PriceBound]) -> tuple[PriceBound, ...]:
    return tuple(
        PriceBound(
            meter_key=message.meter_key,
            quantity=message.quantity,
            meter_where=dict(message.meter_where),
            where=dict(message.where),
            is_count=message.is_count,
            steps=tuple(
                PriceStep(
                    _decimal(step.from_quantity),
                    _decimal(step.unit_price),
                    _decimal(step.flat_price),
                )
                for step in message.steps
            ),
            event_price=_decimal(message.event_price),
            is_not_estimable=message.is_not_estimable,
        )
        for message in messages
    )


def _decimal(text: str) -> Decimal:
    return Decimal(text) if text else _ZERO


def _us(duration: Duration) -> int:
    return duration.ToMicroseconds()
