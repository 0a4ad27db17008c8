"""One usage event on its way: checked in the caller's thread, serialized in the sender's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import FieldViolation, ValidationError

EVENT_BYTES_MAX = 16 * 1024
"""No valid event is larger: 2 ids of 128 bytes, 32 quantities and 16 dimensions at their bounds."""

DECIMAL_EXPONENT_MAX = 18
"""Digits that any quantity may have; a larger exponent would only expand into a long text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_SECOND = 1_000_000
_NANOSECONDS_PER_MICROSECOND = 1_000

Quantity = int | str | Decimal
"""What a quantity may be given as. Floats are refused: they are not exact."""


class RecordedEvent(NamedTuple):
    """What `record` was handed, copied, as it waits in the buffer."""

    event_id: str
    """Minted or given once; the same on every try."""
    customer: str
    """Whose usage."""
    quantities: Mapping[str, Quantity]
    """By quantity name."""
    dimensions: Mapping[str, str] | None
    """By dimension name; None where there are none."""
    event_time: datetime | int
    """When it was used: aware, or nanoseconds since 1970 UTC."""


class EventFrame(NamedTuple):
    """An event as it travels; frames joined byte by byte are a RecordUsageRequest."""

    event_id: str
    """For the log."""
    customer: str
    """For the log."""
    payload: bytes
    """The event as field `events` of a request, tag and length included."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event cannot be counted, whoever found it out."""

    reason: str
    """Stable, in UPPER_SNAKE_CASE."""
    message: str
    """For people: what is wrong and what to do."""


def check_quantity(name: object, value: object) -> None:
    """Passes a quantity that can be exact and is not negative.

    Raises:
        ValidationError: QUANTITY_FLOAT, QUANTITY_NEGATIVE or QUANTITY_MALFORMED.
    """
    field = f"quantities[{name!r}]"
    if isinstance(value, float):
        raise _invalid(
            "QUANTITY_FLOAT",
            field,
            f"{value!r} is a float, which is not exact; "
            f"pass an int, a Decimal or a string such as {str(value)!r}",
        )
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise _invalid(
            "QUANTITY_MALFORMED",
            field,
            f"a {type(value).__name__} is no quantity; pass an int, a Decimal or a decimal string",
        )
    if isinstance(value, Decimal) and not value.is_finite():
        raise _invalid("QUANTITY_MALFORMED", field, f"{value} is not finite; report what was used")
    if not isinstance(value, str) and value < 0:
        raise _invalid(
            "QUANTITY_NEGATIVE", field, f"{value} is negative; usage only ever adds: report it >= 0"
        )


def check_arguments(
    *,
    customer: object,
    quantities: object,
    dimensions: object,
    event_id: object,
    event_time: object,
) -> None:
    """Passes arguments of `record` whose kinds are right; the agent judges the rest.

    Raises:
        ValidationError: CUSTOMER_ID_MALFORMED, QUANTITIES_MISSING, EVENT_ID_MALFORMED,
            EVENT_TIME_NAIVE or DIMENSIONS_MALFORMED.
    """
    if not isinstance(customer, str) or not customer:
        raise _invalid("CUSTOMER_ID_MALFORMED", "customer", "pass the customer's id, 1..128 bytes")
    if not isinstance(quantities, Mapping) or not (quantities or dimensions):
        raise _invalid(
            "QUANTITIES_MISSING",
            "quantities",
            'pass at least one, e.g. {"input_tokens": 1200}, or the dimension that is counted',
        )
    if event_id is not None and (not isinstance(event_id, str) or not event_id):
        raise _invalid(
            "EVENT_ID_MALFORMED", "event_id", "pass 1..128 printable characters, or leave it out"
        )
    if event_time is not None and (
        not isinstance(event_time, datetime) or event_time.utcoffset() is None
    ):
        raise _invalid(
            "EVENT_TIME_NAIVE",
            "event_time",
            "pass a datetime with a time zone, e.g. datetime.now(UTC), or leave it out",
        )
    if dimensions is not None and not isinstance(dimensions, Mapping):
        raise _invalid("DIMENSIONS_MALFORMED", "dimensions", 'pass a dict, e.g. {"model": "m"}')


def check_has_quantity(quantities: Mapping[str, Quantity]) -> None:
    """Passes quantities of which there is at least one: what is held is never nothing.

    Raises:
        ValidationError: QUANTITIES_MISSING.
    """
    if not quantities:
        raise _invalid(
            "QUANTITIES_MISSING", "quantities", 'pass at least one, e.g. {"input_tokens": 1200}'
        )


def check_dimension(name: object, value: object) -> None:
    """Passes a dimension whose name and value are strings.

    Raises:
        ValidationError: DIMENSION_MALFORMED.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        raise _invalid(
            "DIMENSION_MALFORMED",
            f"dimensions[{name!r}]",
            f"a {type(value).__name__} is no dimension; names and values are strings",
        )


def frame_from_event(event: RecordedEvent) -> EventFrame | Refusal:
    """Serializes an event as it will be sent, or says why it can never be."""
    try:
        quantities = {name: quantity_text(value) for name, value in event.quantities.items()}
        message = UsageEvent(
            event_id=event.event_id,
            customer_id=event.customer,
            event_time=_timestamp(event.event_time),
            quantities=quantities,
            dimensions=event.dimensions,
        )
        payload = RecordUsageRequest(events=(message,)).SerializeToString()
    except ValidationError as error:
        return Refusal(reason=error.reason, message=str(error))
    except (TypeError, ValueError, OverflowError) as error:
        return Refusal(
            reason="EVENT_MALFORMED",
            message=f"The event cannot be written as a message: {error}. Pass strings of UTF-8.",
        )
    except Exception as error:  # noqa: BLE001 - values of the caller's own classes may do anything
        return Refusal(
            reason="EVENT_MALFORMED",
            message=f"The event cannot be written as a message: its values raised "
            f"{type(error).__name__}. Pass plain ints, Decimals and strings.",
        )
    if len(payload) > EVENT_BYTES_MAX:
        return Refusal(
            reason="EVENT_TOO_LARGE",
            message=f"The event has {len(payload)} bytes; at most {EVENT_BYTES_MAX} can be valid: "
            "send fewer or shorter dimensions.",
        )
    return EventFrame(event.event_id, event.customer, payload)


def quantity_text(value: Quantity) -> str:
    """Returns a quantity as the decimal string that travels.

    Raises:
        ValidationError: QUANTITY_MALFORMED or QUANTITY_TOO_LARGE for a Decimal without a plain
            form. All else is judged by the agent.
    """
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _invalid("QUANTITY_MALFORMED", "quantities", f"{value} is not finite")
        if not value:
            return "0"  # Also "-0" and "0E-30", which are no plain digits.
        if abs(value.adjusted()) > DECIMAL_EXPONENT_MAX:
            raise _invalid(
                "QUANTITY_TOO_LARGE", "quantities", f"{value} has more than 18 digits in all"
            )
        return format(value, "f")
    # A member of an IntEnum writes its name, and any subclass what it likes.
    return int.__repr__(value) if isinstance(value, int) else str(value)


def _timestamp(event_time: datetime | int) -> Timestamp:
    if isinstance(event_time, int):
        microseconds = event_time // _NANOSECONDS_PER_MICROSECOND
    else:
        microseconds = (event_time - _EPOCH) // _MICROSECOND
    seconds, rest = divmod(microseconds, _MICROSECONDS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=rest * _NANOSECONDS_PER_MICROSECOND)


def _invalid(reason: str, field: str, description: str) -> ValidationError:
    return ValidationError(
        reason=reason,
        message=f"{field}: {description}.",
        violations=(FieldViolation(field=field, description=description, reason=reason),),
    )
