"""LeaseService at the edge: protobuf messages to and from what the use cases take."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from billing_server.domain.catalog.model import Aggregation
from billing_server.domain.limit.in_force import LIMITED_UNITS_MAX
from billing_server.domain.limit.lease import LeaseReport, WindowKey
from billing_server.domain.limit.price_bounds import PriceBound, money_text
from billing_server.domain.ports.limits import LeaseWant, SettledReservation
from billing_server.edge.grpc.timestamps import timestamp_from_instant
from billing_server.services.acquire_leases import AcquireAnswer, AcquireRequest, WantedLease
from billing_server.services.lease_desk import LEASES_AT_ONCE, CallMark, CallResult, ToldLease
from billing_server.services.lease_reports import ReportedLease
from billing_server.services.lease_terms import TERMS_AT_ONCE, ToldCustomer, ToldLimit
from billing_server.services.sync_answer import SyncAnswer
from billing_server.services.sync_leases import SyncRequest
from metering.api.v1 import lease_pb2
from metering.errors import ValidationError
from metering.limits import Enforcement, ExpiryBilling, LimitKind, OfflinePolicy
from metering.quantity import plain_decimal

ID_BYTES: Final = 16
LEASES_ACQUIRED_MAX: Final = 1_000
_UNSET: Final = datetime(1970, 1, 1, tzinfo=UTC)

_RESULTS: Final = {
    CallResult.OK: lease_pb2.LEASE_RESULT_OK,
    CallResult.FENCED: lease_pb2.LEASE_RESULT_FENCED,
    CallResult.IDENTITY_TAKEN: lease_pb2.LEASE_RESULT_IDENTITY_TAKEN,
}
_KINDS: Final = {
    LimitKind.UNITS: lease_pb2.LIMIT_KIND_UNITS,
    LimitKind.MONEY: lease_pb2.LIMIT_KIND_MONEY,
    LimitKind.RATE: lease_pb2.LIMIT_KIND_RATE,
    LimitKind.CONCURRENCY: lease_pb2.LIMIT_KIND_CONCURRENCY,
    LimitKind.ROLLING: lease_pb2.LIMIT_KIND_ROLLING,
}
_ENFORCEMENTS: Final = {
    Enforcement.HARD: lease_pb2.ENFORCEMENT_HARD,
    Enforcement.SOFT: lease_pb2.ENFORCEMENT_SOFT,
    Enforcement.SHADOW: lease_pb2.ENFORCEMENT_SHADOW,
}
_OFFLINE: Final = {
    OfflinePolicy.CLOSED: lease_pb2.OFFLINE_POLICY_CLOSED,
    OfflinePolicy.ALLOWANCE: lease_pb2.OFFLINE_POLICY_ALLOWANCE,
    OfflinePolicy.OPEN: lease_pb2.OFFLINE_POLICY_OPEN,
}
_BILLING: Final = {
    ExpiryBilling.NOTHING: lease_pb2.EXPIRY_BILLING_UNSPECIFIED,
    ExpiryBilling.INPUT: lease_pb2.EXPIRY_BILLING_INPUT,
    ExpiryBilling.USED_SO_FAR: lease_pb2.EXPIRY_BILLING_USED_SO_FAR,
    ExpiryBilling.MAX: lease_pb2.EXPIRY_BILLING_MAX,
}


def sync_request_from_proto(request: lease_pb2.SyncLeasesRequest) -> SyncRequest:
    """Returns what an agent tells in a sync.

    Raises:
        ValidationError: LEASE_REQUEST_MALFORMED, naming the field.
    """
    for name, count, most in (
        ("leases", len(request.leases), LEASES_AT_ONCE),
        ("wants", len(request.wants), LEASES_AT_ONCE),
        ("customer_ids", len(request.customer_ids), TERMS_AT_ONCE),
        ("dropped", len(request.dropped), TERMS_AT_ONCE),
    ):
        if count > most:
            raise _malformed(f"{name} has {count} entries; {most} are the most of one call")
    return SyncRequest(
        mark=_mark(request, heard_answer_no=max(request.heard_answer_no, 0)),
        reports=lease_reports_from_proto(request.leases),
        wants=tuple(
            LeaseWant(
                agent_ref=0,
                customer_id=want.customer_id,
                limit_key=want.limit_key,
                demand_per_second=_amount(want.demand_per_second),
                largest_call=_amount(want.largest_call),
                outage_float=_amount(want.outage_float),
                is_urgent=want.is_urgent,
                update_time=_UNSET,
            )
            for want in request.wants
        ),
        customer_ids=tuple(request.customer_ids),
        terms_revision=max(request.terms_revision, 0),
        dropped=tuple(
            SettledReservation(each.customer_id, each.reservation_id) for each in request.dropped
        ),
    )


def lease_reports_from_proto(
    counters: Sequence[lease_pb2.LeaseCounters],
) -> tuple[ReportedLease, ...]:
    """Returns what an agent tells of its leases; of one that is named twice, the last.

    Raises:
        ValidationError: LEASE_REQUEST_MALFORMED, naming the field.
    """
    reports = {
        each.lease_id: ReportedLease(
            lease_id=_lease_id(each.lease_id, number=number),
            key=WindowKey(each.customer_id, each.limit_key, each.window_id),
            report=LeaseReport(
                granted=_amount(each.granted),
                returned=_amount(each.returned),
                consumed=_amount(each.consumed),
                held=_amount(each.held),
                recall_no=max(each.recall_no, 0),
                is_closed=each.is_closed,
            ),
            rate_per_minute=_amount(each.rate_per_minute),
            burst=_amount(each.burst),
        )
        for number, each in enumerate(counters)
    }
    return tuple(reports.values())


def acquire_request_from_proto(request: lease_pb2.AcquireLeaseRequest) -> AcquireRequest:
    """Returns what an agent asks for at once.

    Raises:
        ValidationError: LEASE_REQUEST_MALFORMED, naming the field.
    """
    if max(len(request.leases), len(request.customer_ids)) > LEASES_ACQUIRED_MAX:
        raise _malformed(f"one call asks for {LEASES_ACQUIRED_MAX} leases or customers at most")
    if request.granted_min and len(request.granted_min) != len(request.leases):
        raise _malformed("granted_min has one entry for each of leases, or none")
    least = list(request.granted_min) or [0] * len(request.leases)
    return AcquireRequest(
        mark=_mark(request),
        wanted=tuple(
            WantedLease(
                lease_id=_lease_id(each.lease_id, number=number),
                key=WindowKey(each.customer_id, each.limit_key, each.window_id),
                target=_amount(each.granted),
                least=_amount(least[number]),
            )
            for number, each in enumerate(request.leases)
        ),
        customer_ids=tuple(request.customer_ids),
    )


def sync_answer_to_proto(answer: SyncAnswer, *, sync_no: int) -> lease_pb2.SyncLeasesResponse:
    """Returns the answer to a sync."""
    return lease_pb2.SyncLeasesResponse(
        sync_no=sync_no,
        leases=[told_lease_to_proto(each) for each in answer.leases],
        server_time=timestamp_from_instant(answer.server_time),
        result=_RESULTS[answer.result],
        customers=[_customer(each, now=answer.server_time) for each in answer.customers],
        terms_revision=answer.terms_revision,
        answer_no=answer.answer_no,
        settled_elsewhere=[
            lease_pb2.ReservationKey(customer_id=each[0], reservation_id=each[1])
            for each in answer.settled_elsewhere
        ],
    )


def acquire_answer_to_proto(answer: AcquireAnswer) -> lease_pb2.AcquireLeaseResponse:
    """Returns the answer to an acquisition."""
    return lease_pb2.AcquireLeaseResponse(
        leases=[told_lease_to_proto(each) for each in answer.leases],
        result=_RESULTS[answer.result],
        customers=[_customer(each, now=answer.server_time) for each in answer.customers],
    )


def told_lease_to_proto(told: ToldLease) -> lease_pb2.LeaseCounters:
    """Returns a lease as its agent is told of it."""
    lease = told.lease
    return lease_pb2.LeaseCounters(
        lease_id=lease.lease_id,
        customer_id=lease.key.customer_id,
        limit_key=lease.key.limit_key,
        window_id=lease.key.window_id,
        granted=lease.granted,
        returned=lease.returned,
        settled=lease.settled,
        remaining_duration=_duration(told.remaining),
        is_recalled=lease.is_recalled,
        recall_no=lease.recall_no,
        starts_after=_duration(told.starts_after),
        rate_per_minute=lease.rate_per_minute,
        burst=lease.burst,
        is_closed=told.is_closed,
    )


def _customer(told: ToldCustomer, *, now: datetime) -> lease_pb2.CustomerTerms:
    return lease_pb2.CustomerTerms(
        customer_id=told.customer_id,
        revision=told.terms_revision,
        limits=[_terms(each, now=now) for each in told.limits],
        is_unknown=told.is_unknown,
    )


def _terms(told: ToldLimit, *, now: datetime) -> lease_pb2.LimitTerms:
    limit, definition, meter = told.limit, told.limit.limit, told.limit.meter
    remaining = None if told.span.end is None else max(told.span.end - now, timedelta(0))
    return lease_pb2.LimitTerms(
        limit_key=limit.key,
        kind=_KINDS[limit.kind],
        quantity="" if meter is None else meter.quantity,
        where={} if meter is None else {**meter.where, **definition.where},
        is_count=meter is not None and meter.aggregation is Aggregation.COUNT,
        decimals=limit.decimals,
        max=told.maximum,
        enforcement=_ENFORCEMENTS[definition.enforcement],
        when_offline=_OFFLINE[definition.when_offline],
        allowance=limit.scaled(definition.allowance),
        bill_on_expiry=_BILLING[definition.bill_on_expiry],
        currency=limit.currency if definition.is_money else "",
        prices=[_price(bound) for bound in told.prices],
        window_id=told.span.window_id,
        window_remaining=_duration(remaining),
        remaining=told.remaining,
    )


def _price(bound: PriceBound) -> lease_pb2.PriceBound:
    return lease_pb2.PriceBound(
        meter_key=bound.meter.key,
        quantity=bound.meter.quantity,
        meter_where=bound.meter.where,
        where=bound.price.where,
        is_count=bound.meter.aggregation is Aggregation.COUNT,
        steps=[
            lease_pb2.PriceStep(
                from_quantity=plain_decimal(step.from_quantity),
                unit_price=money_text(step.unit_price),
                flat_price=money_text(step.flat_price) if step.flat_price else "",
            )
            for step in bound.steps
        ],
        event_price=money_text(bound.event_price) if bound.event_price else "",
        is_not_estimable=not bound.is_estimable,
    )


def _mark(
    request: lease_pb2.SyncLeasesRequest | lease_pb2.AcquireLeaseRequest,
    *,
    heard_answer_no: int = 0,
) -> CallMark:
    return CallMark(
        disk_id=request.disk_id,
        session_no=request.session_no,
        incarnation=request.server_incarnation,
        sync_no=request.sync_no,
        nonce=request.nonce,
        heard_answer_no=heard_answer_no,
    )


def _lease_id(value: bytes, *, number: int) -> bytes:
    if len(value) != ID_BYTES:
        raise _malformed(f"leases[{number}].lease_id has {len(value)} bytes; it has {ID_BYTES}")
    return value


def _amount(value: int) -> int:
    """Returns a counter within what the store holds; a negative one is nothing."""
    return min(max(value, 0), LIMITED_UNITS_MAX)


def _duration(span: timedelta | None) -> Duration | None:
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def _malformed(message: str) -> ValidationError:
    return ValidationError(reason="LEASE_REQUEST_MALFORMED", message=message)
