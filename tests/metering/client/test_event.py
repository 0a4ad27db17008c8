"""Events are checked cheaply at record time and serialized once."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.client.event import (
    EVENT_BYTES_MAX,
    EventFrame,
    Quantity,
    RecordedEvent,
    Refusal,
    check_arguments,
    check_dimension,
    check_quantity,
    frame_from_event,
    quantity_text,
)
from metering.errors import ValidationError

NANOSECONDS = 1_772_323_200_123_456_789  # 2026-03-01T00:00:00.123456789Z


def _event(**changes: Any) -> RecordedEvent:
    event = RecordedEvent(
        event_id="e-1",
        customer="acme",
        quantities={"input_tokens": 1200},
        dimensions={"model": "large"},
        event_time=NANOSECONDS,
    )
    return event._replace(**changes)


def _sent(event: RecordedEvent) -> Any:
    frame = frame_from_event(event)
    assert isinstance(frame, EventFrame)
    (message,) = RecordUsageRequest.FromString(frame.payload).events
    return message


def test_frames_joined_byte_by_byte_are_a_request() -> None:
    frames = [frame_from_event(_event(event_id=name)) for name in ("a", "b")]
    joined = b"".join(frame.payload for frame in frames if isinstance(frame, EventFrame))
    assert [event.event_id for event in RecordUsageRequest.FromString(joined).events] == ["a", "b"]


def test_everything_that_was_recorded_is_sent() -> None:
    message = _sent(_event())
    assert (message.event_id, message.customer_id) == ("e-1", "acme")
    assert dict(message.quantities) == {"input_tokens": "1200"}
    assert dict(message.dimensions) == {"model": "large"}


def test_the_time_is_cut_to_the_microsecond() -> None:
    time = _sent(_event()).event_time
    assert (time.seconds, time.nanos) == (1_772_323_200, 123_456_000)


def test_a_time_in_another_zone_is_sent_as_utc() -> None:
    local = datetime(2026, 3, 1, 1, 0, 0, 500, tzinfo=timezone(timedelta(hours=1)))
    time = _sent(_event(event_time=local)).event_time
    assert (time.seconds, time.nanos) == (1_772_323_200, 500_000)


def test_a_time_before_1970_is_sent_with_positive_nanoseconds() -> None:
    time = _sent(_event(event_time=datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC))).event_time
    assert (time.seconds, time.nanos) == (-1, 1_000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (10**18, "1000000000000000000"),
        ("0.35", "0.35"),
        (Decimal("0.350"), "0.350"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-9"), "0.000000001"),
    ],
)
def test_quantities_travel_as_plain_decimals(value: Any, text: str) -> None:
    assert quantity_text(value) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Decimal("NaN"), "QUANTITY_MALFORMED"),
        (Decimal("Infinity"), "QUANTITY_MALFORMED"),
        (Decimal("1E+1000000"), "QUANTITY_TOO_LARGE"),
        (Decimal("1E-1000000"), "QUANTITY_TOO_LARGE"),
    ],
)
def test_a_decimal_without_a_plain_form_is_refused_before_it_is_written_out(
    value: Decimal, reason: str
) -> None:
    refusal = frame_from_event(_event(quantities={"q": value}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"quantities": {1: 1}},
        {"customer": "\ud800"},
        {"event_time": 10**30},
    ],
)
def test_what_no_message_can_hold_is_refused_and_not_raised(changes: dict[str, Any]) -> None:
    refusal = frame_from_event(_event(**changes))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "EVENT_MALFORMED"


def test_an_event_that_no_agent_takes_is_refused_here() -> None:
    refusal = frame_from_event(_event(dimensions={"prompt": "x" * EVENT_BYTES_MAX}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "EVENT_TOO_LARGE"


@pytest.mark.parametrize(
    ("value", "reason", "remedy"),
    [
        (0.5, "QUANTITY_FLOAT", "a string such as '0.5'"),
        (-1, "QUANTITY_NEGATIVE", "report it >= 0"),
        (Decimal("-0.1"), "QUANTITY_NEGATIVE", "report it >= 0"),
        (Decimal("NaN"), "QUANTITY_MALFORMED", "is not finite"),
        (Decimal("sNaN"), "QUANTITY_MALFORMED", "is not finite"),
        (Decimal("-Infinity"), "QUANTITY_MALFORMED", "is not finite"),
        (True, "QUANTITY_MALFORMED", "a bool is no quantity"),
        (None, "QUANTITY_MALFORMED", "a NoneType is no quantity"),
    ],
)
def test_a_bad_quantity_is_refused_with_field_and_remedy(
    value: object, reason: str, remedy: str
) -> None:
    with pytest.raises(ValidationError, match="quantities\\['tokens'\\]") as caught:
        check_quantity("tokens", value)
    assert caught.value.reason == reason
    assert remedy in str(caught.value)
    assert caught.value.violations[0].field == "quantities['tokens']"


@pytest.mark.parametrize("value", [0, 1, "0.5", Decimal("0.5")])
def test_exact_quantities_pass(value: object) -> None:
    check_quantity("tokens", value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"customer": ""}, "CUSTOMER_ID_MALFORMED"),
        ({"customer": 7}, "CUSTOMER_ID_MALFORMED"),
        ({"quantities": {}}, "QUANTITIES_MISSING"),
        ({"quantities": {}, "dimensions": {}}, "QUANTITIES_MISSING"),
        ({"quantities": [("a", 1)]}, "QUANTITIES_MISSING"),
        ({"event_id": ""}, "EVENT_ID_MALFORMED"),
        ({"event_time": datetime(2026, 3, 1)}, "EVENT_TIME_NAIVE"),  # noqa: DTZ001 - what is refused
        ({"event_time": 1.5}, "EVENT_TIME_NAIVE"),
        ({"dimensions": ["model"]}, "DIMENSIONS_MALFORMED"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(changes: dict[str, object], reason: str) -> None:
    arguments: dict[str, object] = {
        "customer": "acme",
        "quantities": {"a": 1},
        "dimensions": None,
        "event_id": None,
        "event_time": None,
    }
    with pytest.raises(ValidationError) as caught:
        check_arguments(**(arguments | changes))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_a_dimension_that_is_no_string_is_refused() -> None:
    with pytest.raises(ValidationError, match="dimensions\\['shard'\\]: a int is no dimension"):
        check_dimension("shard", 5)
    check_dimension("shard", "5")


class Tokens(IntEnum):
    MANY = 1_200


class Rude(int):
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Tokens.MANY, "1200"),
        (Decimal("-0"), "0"),
        (Decimal("0E-30"), "0"),
        (Decimal("0E+30"), "0"),
        (Decimal("0.00"), "0"),
    ],
)
def test_a_quantity_travels_as_plain_digits_whatever_kind_of_number_it_is(
    value: Quantity, text: str
) -> None:
    assert quantity_text(value) == text


def test_an_int_of_the_callers_own_class_is_written_by_its_value() -> None:
    assert quantity_text(Rude(7)) == "7"


class Shouting(Decimal):
    def is_finite(self) -> bool:
        raise RuntimeError("no")


def test_whatever_a_value_does_spoils_its_own_event_alone() -> None:
    refusal = frame_from_event(RecordedEvent("a", "acme", {"tokens": Shouting(1)}, None, 0))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "EVENT_MALFORMED"
    assert "RuntimeError" in refusal.message
