"""Answers for quota as messages, with words for people."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.quota.decide import DenialReason, QuotaDecision, Verdict
from meter_agent.core.quota.reservation import Reservation
from meter_agent.core.quota.terms import LimitTerms
from meter_agent.quota.answers import Denied, Ended, Granted, Passed
from meter_agent.quota.clock import LeaseClock
from metering.api.v1 import agent_pb2
from metering.limits import LimitKind
from metering.quantity import plain_decimal, unscale_quantity

SLOTS: Final = "slots"
"""Name of what a limit of concurrency has left."""

_SECOND_US: Final = 1_000_000
_DECISIONS: Final = {
    Verdict.GRANTED: agent_pb2.DECISION_GRANTED,
    Verdict.GRANTED_PARTIALLY: agent_pb2.DECISION_GRANTED_PARTIALLY,
    Verdict.DENIED: agent_pb2.DECISION_DENIED,
}


def reserve_to_proto(
    answer: Granted | Denied, *, clock: LeaseClock
) -> agent_pb2.ReserveQuotaResponse:
    """Returns the answer to a reservation."""
    if isinstance(answer, Denied):
        return agent_pb2.ReserveQuotaResponse(
            decision=agent_pb2.DECISION_DENIED, denial=denial_to_proto(answer.passed, clock=clock)
        )
    return agent_pb2.ReserveQuotaResponse(
        decision=_decision(answer),
        granted=texts(answer.reservation.granted),
        expire_time=expire_time(answer.reservation, clock=clock),
        exceeded=_denials(answer.exceeded, clock=clock),
    )


def extend_to_proto(
    answer: Granted | Denied, *, clock: LeaseClock
) -> agent_pb2.ExtendReservationResponse:
    """Returns the answer to an extension."""
    if isinstance(answer, Denied):
        return agent_pb2.ExtendReservationResponse(
            decision=agent_pb2.DECISION_DENIED, denial=denial_to_proto(answer.passed, clock=clock)
        )
    return agent_pb2.ExtendReservationResponse(
        decision=_decision(answer),
        granted=texts(answer.reservation.granted),
        expire_time=expire_time(answer.reservation, clock=clock),
    )


def check_to_proto(
    decision: QuotaDecision, *, limits: Mapping[str, LimitTerms], clock: LeaseClock
) -> agent_pb2.CheckQuotaResponse:
    """Returns the answer to a check.

    Args:
        decision: What a reservation would be answered.
        limits: The customer's, by key.
        clock: Of leases.
    """
    response = agent_pb2.CheckQuotaResponse(
        decision=_DECISIONS[decision.verdict], granted=texts(decision.granted)
    )
    if decision.denial is not None:
        passed = Passed(decision.denial, limits.get(decision.denial.limit_key))
        response.denial.CopyFrom(denial_to_proto(passed, clock=clock))
    exceeded = [Passed(item, limits.get(item.limit_key)) for item in decision.exceeded]
    response.exceeded.extend(_denials(exceeded, clock=clock))
    return response


def settle_to_proto(answer: Ended) -> agent_pb2.SettleReservationResponse:
    """Returns the answer to a settlement."""
    return agent_pb2.SettleReservationResponse(
        event_id=answer.event_id, kind=answer.kind, overrun=texts(answer.overrun)
    )


def release_to_proto(answer: Ended) -> agent_pb2.ReleaseReservationResponse:
    """Returns the answer to a release."""
    return agent_pb2.ReleaseReservationResponse(event_id=answer.event_id, kind=answer.kind)


def unsettled_to_proto(item: Reservation, *, clock: LeaseClock) -> agent_pb2.UnsettledReservation:
    """Returns an entry of the list of the unsettled."""
    return agent_pb2.UnsettledReservation(
        reservation_id=item.reservation_id,
        customer_id=item.customer_id,
        caller=item.caller,
        dimensions=dict(item.content.dimensions),
        granted=texts(item.granted),
        used_so_far=item.used_so_far,
        reserve_time=_timestamp(item.reserve_time_us),
        expire_time=expire_time(item, clock=clock),
        is_returned=item.is_returned,
    )


def denial_to_proto(passed: Passed, *, clock: LeaseClock) -> agent_pb2.QuotaDenial:
    """Returns why a limit refused, or would have."""
    denial, limit = passed.denial, passed.limit
    message = agent_pb2.QuotaDenial(limit_key=denial.limit_key, reason=denial.reason.value)
    if limit is not None:
        # What the server had left when it last told is nothing to count on while it is away; of a
        # rate it has nothing left: what a share does not hold is not there yet.
        is_here = denial.reason is DenialReason.SERVER_AWAY or limit.kind is LimitKind.RATE
        amount = denial.remaining if is_here else denial.remaining + limit.remaining
        left = unscale_quantity(amount, decimals=limit.decimals)
        message.remaining[_unit(limit)] = plain_decimal(left)
        if limit.window_ends_at_us is not None:
            rest_us = max(limit.window_ends_at_us - clock.now_us(), 0)
            message.reset_time.CopyFrom(_timestamp(_whole_seconds(clock.wall_us() + rest_us)))
            message.retry_after.FromMicroseconds(rest_us)
        elif denial.enough_after_us is not None:
            message.retry_after.FromMicroseconds(denial.enough_after_us)
    message.message = _words(passed, message)
    return message


def expire_time(item: Reservation, *, clock: LeaseClock) -> Timestamp:
    """Returns when a hold ends without a renewal, on the wall clock."""
    return _timestamp(clock.wall_us() + item.expires_at_us - clock.now_us())


def texts(quantities: Mapping[str, Decimal]) -> dict[str, str]:
    """Returns quantities as they travel."""
    return {name: plain_decimal(value) for name, value in quantities.items()}


def _words(passed: Passed, message: agent_pb2.QuotaDenial) -> str:
    denial, limit = passed.denial, passed.limit
    if denial.reason is DenialReason.CUSTOMER_UNKNOWN:
        return "the billing server knows no such customer: make it there first, or correct the id"
    if limit is None:
        return (
            "the limits of this customer are not known on this host, and the billing server "
            "cannot be asked now: try again when it is back (see meter-agent status)"
        )
    if denial.reason is DenialReason.PRICE_NOT_ESTIMABLE:
        return (
            f"limit {limit.limit_key}: what this call may cost has no bound; give its price an "
            "estimate_unit_price in the catalog"
        )
    unit = _unit(limit)
    most = plain_decimal(unscale_quantity(limit.max, decimals=limit.decimals))
    a_minute = " a minute" if limit.kind is LimitKind.RATE else ""
    text = f"limit {limit.limit_key} of {most} {unit}{a_minute}: {message.remaining[unit]} left"
    if limit.kind is LimitKind.RATE and denial.enough_after_us is not None:
        return f"{text} on this host now, and enough in {_seconds(denial.enough_after_us)} s"
    if denial.reason is DenialReason.SERVER_AWAY:
        return f"{text} on this host, and the billing server cannot be asked for more now"
    if message.HasField("reset_time"):
        return f"{text}; it begins anew at {message.reset_time.ToJsonString()}"
    return text


def _seconds(span_us: int) -> str:
    """Returns a span in seconds, rounded up to a tenth."""
    return plain_decimal(Decimal(-(-span_us // 100_000)).scaleb(-1))


def _unit(limit: LimitTerms) -> str:
    if limit.kind is LimitKind.CONCURRENCY:
        return SLOTS
    return limit.currency if limit.kind is LimitKind.MONEY else limit.quantity


def _decision(answer: Granted) -> agent_pb2.Decision:
    if answer.is_partial:
        return agent_pb2.DECISION_GRANTED_PARTIALLY
    return agent_pb2.DECISION_GRANTED


def _denials(passed: Iterable[Passed], *, clock: LeaseClock) -> list[agent_pb2.QuotaDenial]:
    return [denial_to_proto(item, clock=clock) for item in passed]


def _whole_seconds(time_us: int) -> int:
    """Returns the nearest whole second: windows end on one, what is left of them is some ms off."""
    return (time_us + _SECOND_US // 2) // _SECOND_US * _SECOND_US


def _timestamp(time_us: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(max(time_us, 0))
    return timestamp
