"""What callers ask for quota, checked and in the agent's own terms."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.quota.decide import QuotaRequest
from meter_agent.core.quota.reservation import EndKind, content_of, ttl_of
from meter_agent.core.validation import (
    CUSTOMER_ID_BYTES_MAX,
    EVENT_ID_BYTES_MAX,
    EventProblem,
    judge_event,
)
from meter_agent.quota.ending import End
from meter_agent.quota.reserving import Extend, Reserve
from metering.api.v1 import agent_pb2
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import ValidationError

_NS_PER_US: Final = 1_000
_STAND_IN: Final = "x"
"""Takes the place of a field that a request does not have, where the whole event is judged."""


def reserve_from_proto(
    request: agent_pb2.ReserveQuotaRequest, *, caller: str, now_us: int
) -> Reserve:
    """Returns what a reservation asks for.

    Args:
        request: As sent.
        caller: Who calls, where the request does not say.
        now_us: Wall clock, microseconds since 1970 UTC.

    Raises:
        ValidationError: A field is malformed, negative, or out of its range.
    """
    _judge(
        request.reservation_id,
        request.customer_id,
        request.quantities,
        request.dimensions,
        now_us=now_us,
    )
    quantities = _decimals(request.quantities)
    minimum = _minimum(request.minimum_quantities, of=quantities, now_us=now_us)
    asked = QuotaRequest(
        customer_id=request.customer_id,
        dimensions=dict(request.dimensions),
        quantities=quantities,
        minimum_quantities=minimum,
    )
    return Reserve(
        reservation_id=request.reservation_id,
        request=asked,
        content=content_of(
            quantities=quantities, dimensions=asked.dimensions, minimum_quantities=minimum
        ),
        ttl_us=ttl_of(_us(request.ttl) if request.HasField("ttl") else None),
        caller=_caller(request.caller) or caller,
    )


def extend_from_proto(request: agent_pb2.ExtendReservationRequest, *, now_us: int) -> Extend:
    """Returns what an extension asks for.

    Raises:
        ValidationError: As `reserve_from_proto`.
    """
    _judge(request.reservation_id, _STAND_IN, request.quantities, {}, now_us=now_us)
    if request.used_so_far:
        _judge(request.reservation_id, _STAND_IN, request.used_so_far, {}, now_us=now_us)
    if request.request_id:
        _judge(request.request_id, _STAND_IN, {}, {}, now_us=now_us, field="request_id")
    quantities = _decimals(request.quantities)
    minimum = _minimum(request.minimum_quantities, of=quantities, now_us=now_us)
    return Extend(
        reservation_id=request.reservation_id,
        request_id=request.request_id,
        quantities=quantities,
        minimum_quantities=minimum,
        content=content_of(quantities=quantities, minimum_quantities=minimum),
        ttl_us=ttl_of(_us(request.ttl)) if request.HasField("ttl") else None,
        used_so_far=dict(request.used_so_far),
    )


def check_from_proto(request: agent_pb2.CheckQuotaRequest, *, now_us: int) -> QuotaRequest:
    """Returns what a check asks for.

    Raises:
        ValidationError: As `reserve_from_proto`.
    """
    _judge(_STAND_IN, request.customer_id, request.quantities, request.dimensions, now_us=now_us)
    quantities = _decimals(request.quantities)
    return QuotaRequest(
        customer_id=request.customer_id,
        dimensions=dict(request.dimensions),
        quantities=quantities,
        minimum_quantities=_minimum(request.minimum_quantities, of=quantities, now_us=now_us),
    )


def settle_from_proto(request: agent_pb2.SettleReservationRequest, *, now_us: int) -> End:
    """Returns what a settlement says.

    Raises:
        ValidationError: As `reserve_from_proto`, also for an event time out of the accept window.
    """
    event_time = request.event_time if request.HasField("event_time") else None
    if not request.quantities:
        raise ValidationError(
            reason="QUANTITIES_MISSING",
            message="quantities is empty; say what was used, or call ReleaseReservation where "
            "nothing was",
        )
    return _end(request, EndKind.SETTLE, request.quantities, event_time, now_us=now_us)


def release_from_proto(request: agent_pb2.ReleaseReservationRequest, *, now_us: int) -> End:
    """Returns what a release says.

    Raises:
        ValidationError: As `settle_from_proto`.
    """
    event_time = request.event_time if request.HasField("event_time") else None
    return _end(request, EndKind.RELEASE, request.incurred_quantities, event_time, now_us=now_us)


def _end(
    request: agent_pb2.SettleReservationRequest | agent_pb2.ReleaseReservationRequest,
    kind: EndKind,
    used: Mapping[str, str],
    event_time: Timestamp | None,
    *,
    now_us: int,
) -> End:
    _judge(
        request.reservation_id,
        request.customer_id or _STAND_IN,
        used,
        request.dimensions,
        now_us=now_us,
        event_time=event_time,
    )
    quantities = _decimals(used)
    return End(
        kind=kind,
        reservation_id=request.reservation_id,
        customer_id=request.customer_id,
        quantities=quantities,
        dimensions=dict(request.dimensions),
        event_time=event_time,
        content=content_of(
            quantities=quantities,
            dimensions=request.dimensions,
            event_time_ns=None if event_time is None else event_time.ToNanoseconds(),
        ),
    )


def _judge(
    name: str,
    customer_id: str,
    quantities: Mapping[str, str],
    dimensions: Mapping[str, str],
    *,
    now_us: int,
    event_time: Timestamp | None = None,
    field: str = "reservation_id",
) -> None:
    """Judges the parts of a request as those of a usage event are judged.

    Raises:
        ValidationError: What is wrong with the first that is.
    """
    event = UsageEvent(
        event_id=name,
        customer_id=customer_id,
        event_time=event_time,
        quantities=quantities or {_STAND_IN: "0"},
        dimensions=dimensions,
    )
    problem = judge_event(event, receive_time_us=now_us)
    if problem is not None:
        raise _error(problem, field=field)


def _error(problem: EventProblem, *, field: str) -> ValidationError:
    if problem.reason == "EVENT_ID_MALFORMED":
        return ValidationError(
            reason=f"{field.upper()}_MALFORMED",
            message=problem.message.replace("event_id", field, 1),
        )
    return ValidationError(reason=problem.reason, message=problem.message)


def _minimum(
    minimum: Mapping[str, str], *, of: Mapping[str, Decimal], now_us: int
) -> dict[str, Decimal]:
    if not minimum:
        return {}
    _judge(_STAND_IN, _STAND_IN, minimum, {}, now_us=now_us)
    least = _decimals(minimum)
    for name, value in least.items():
        if name not in of or value > of[name]:
            raise ValidationError(
                reason="MINIMUM_OUT_OF_RANGE",
                message=f"minimum_quantities[{name!r}] must not pass quantities[{name!r}], and "
                "must stand there too",
            )
    return least


def _caller(text: str) -> str:
    if len(text.encode()) <= CUSTOMER_ID_BYTES_MAX:
        return text
    raise ValidationError(
        reason="CALLER_MALFORMED",
        message=f"caller must have at most {EVENT_ID_BYTES_MAX} bytes: name the service",
    )


def _decimals(quantities: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in quantities.items()}


def _us(duration: Duration) -> int:
    return duration.ToNanoseconds() // _NS_PER_US
