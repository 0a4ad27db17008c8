"""The rules that one usage event must meet, and the reason where it does not.

The agent judges each event here once; the server never refuses by age what an agent accepted
(protocol section 2). `judge_event` is the plain rule; `judge_batch` gives the same answers for a
whole request and is fast where every event is good, which is nearly always.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import ValidationError
from metering.quantity import parse_quantity

EVENT_ID_BYTES_MAX: Final = 128
CUSTOMER_ID_BYTES_MAX: Final = 128
QUANTITY_COUNT_MAX: Final = 32
DIMENSION_COUNT_MAX: Final = 16
KEY_BYTES_MAX: Final = 64
DIMENSION_VALUE_BYTES_MAX: Final = 256
EVENT_BYTES_MAX: Final = 16 * 1024
"""Bytes of one event with every field at its bound are fewer: 2 ids, 32 quantities, 16 dimensions.
What is more lies in fields that this agent does not know, and could pass the bound of a push."""
ACCEPT_PAST_US: Final = 35 * 86_400 * 1_000_000
"""How old an event may be when it is received: 35 days, in microseconds."""
ACCEPT_FUTURE_US: Final = 5 * 60 * 1_000_000
"""How far ahead of the agent's clock an event may be: 5 minutes, in microseconds."""

_NANOS_PER_SECOND: Final = 1_000_000_000
_US_PER_SECOND: Final = 1_000_000
_TIMESTAMP_SECONDS_MIN: Final = -62_135_596_800
_TIMESTAMP_SECONDS_MAX: Final = 253_402_300_799
_SHOWN_CHARACTERS_MAX: Final = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EVENT_ID = re.compile(r"[!-~]{1,128}")
_PLAIN_QUANTITY = re.compile(r"[0-9]{1,18}|[0-9]{1,9}\.[0-9]{1,9}")
# One match over all values of a request, each followed by a line end.
_PLAIN_QUANTITIES = re.compile(r"(?:(?:[0-9]{1,18}|[0-9]{1,9}\.[0-9]{1,9})\n)*")


@dataclass(frozen=True, slots=True)
class EventProblem:
    """Why one event is refused."""

    reason: str
    """Stable `UPPER_SNAKE` name."""
    message: str
    """Which field, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused event of a request."""

    index: int
    """Position in the request, from 0."""
    event_id: str
    """As sent; may be empty or malformed."""
    problem: EventProblem
    """Why."""


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """What is to become of the events of a request."""

    rejections: tuple[Rejection, ...]
    """In the order of the request; empty where every event is good."""
    oldest_event_time_us: int
    """Of the good events, microseconds since 1970 UTC; the receive time where none says."""


def judge_event(event: UsageEvent, *, receive_time_us: int) -> EventProblem | None:
    """Returns why the event is refused, or None where it is good.

    Args:
        event: As sent.
        receive_time_us: The agent's clock, microseconds since 1970 UTC.
    """
    return (
        _event_id_problem(event.event_id)
        or _customer_id_problem(event.customer_id)
        or _event_time_problem(event, receive_time_us=receive_time_us)
        or _quantities_problem(event)
        or _dimensions_problem(event.dimensions)
        or _agent_fields_problem(event)
        or _size_problem(event)
    )


def judge_batch(events: Sequence[UsageEvent], *, receive_time_us: int) -> BatchVerdict:
    """Judges each event of a request alone.

    Args:
        events: 0 to 10,000 events.
        receive_time_us: The agent's clock, microseconds since 1970 UTC.
    """
    oldest = _oldest_if_all_are_good(events, receive_time_us=receive_time_us)
    if oldest is not None:
        return BatchVerdict(rejections=(), oldest_event_time_us=oldest)
    return judge_each(events, receive_time_us=receive_time_us)


def judge_each(events: Sequence[UsageEvent], *, receive_time_us: int) -> BatchVerdict:
    """Judges each event of a request alone, its size as well, by the plain rule.

    Args:
        events: 0 to 10,000 events.
        receive_time_us: The agent's clock, microseconds since 1970 UTC.
    """
    rejections = []
    oldest = receive_time_us
    for index, event in enumerate(events):
        problem = judge_event(event, receive_time_us=receive_time_us)
        if problem is not None:
            rejections.append(Rejection(index=index, event_id=event.event_id, problem=problem))
        elif event.HasField("event_time"):
            oldest = min(oldest, _event_time_us(event))
    return BatchVerdict(rejections=tuple(rejections), oldest_event_time_us=oldest)


def _oldest_if_all_are_good(events: Sequence[UsageEvent], *, receive_time_us: int) -> int | None:
    """Returns the oldest event time where every event is surely good, else None.

    The texts of a request are gathered first and judged together: a customer, a key or a
    dimension value that stands in a thousand events is looked at once, and the rest is looked at
    by a few calls into C. Whatever is unusual is left to `judge_event`.
    """
    event_ids: list[str] = []
    values: list[str] = []
    customer_ids: set[str] = set()
    names: set[str] = set()
    keys: set[str] = set()
    dimension_values: set[str] = set()
    oldest = receive_time_us
    seconds_min = (receive_time_us - ACCEPT_PAST_US) // _US_PER_SECOND + 1
    seconds_max = (receive_time_us + ACCEPT_FUTURE_US) // _US_PER_SECOND - 1
    for event in events:
        event_ids.append(event.event_id)
        customer_ids.add(event.customer_id)
        quantities = event.quantities
        if (not quantities and not event.dimensions) or len(quantities) > QUANTITY_COUNT_MAX:
            return None
        for name in quantities:
            names.add(name)
            values.append(quantities[name])
        dimensions = event.dimensions
        if len(dimensions) > DIMENSION_COUNT_MAX:
            return None
        if event.debits or event.HasField("settlement"):
            return None
        for key in dimensions:
            keys.add(key)
            dimension_values.add(dimensions[key])
        event_time = event.event_time
        seconds = event_time.seconds
        if seconds_min <= seconds <= seconds_max:
            nanos = event_time.nanos
            if not 0 <= nanos < _NANOS_PER_SECOND:
                return None
            oldest = min(oldest, seconds * _US_PER_SECOND + nanos // 1000)
        elif seconds or event.HasField("event_time"):
            return None
    good = (
        _are_plain(event_ids, bytes_max=EVENT_ID_BYTES_MAX)
        and _are_good(customer_ids, bytes_max=CUSTOMER_ID_BYTES_MAX, problem=_customer_id_problem)
        and _are_good(names, bytes_max=KEY_BYTES_MAX, problem=_quantity_name_problem)
        and _are_good(keys, bytes_max=KEY_BYTES_MAX, problem=_dimension_key_problem)
        and _are_good_dimension_values(dimension_values)
        and _are_good_quantities(values)
    )
    return oldest if good else None


def _are_plain(texts: Collection[str], *, bytes_max: int) -> bool:
    """Tells whether all are 1..bytes_max characters of printable ASCII without spaces."""
    joined = "".join(texts)
    return not texts or (
        joined.isascii()
        and joined.isprintable()
        and " " not in joined
        and max(map(len, texts)) <= bytes_max
        and min(map(len, texts)) > 0
    )


def _are_good(
    texts: Collection[str], *, bytes_max: int, problem: Callable[[str], EventProblem | None]
) -> bool:
    return _are_plain(texts, bytes_max=bytes_max) or not any(map(problem, texts))


def _are_good_dimension_values(texts: Collection[str]) -> bool:
    joined = "".join(texts)
    if joined.isascii() and joined.isprintable():
        return max(map(len, texts), default=0) <= DIMENSION_VALUE_BYTES_MAX
    return all(_dimension_value_problem("", text) is None for text in texts)


def _are_good_quantities(values: Collection[str]) -> bool:
    joined = "\n".join(values) + "\n"
    # The count of line ends proves that no value brought one of its own.
    if joined.count("\n") == len(values) and _PLAIN_QUANTITIES.fullmatch(joined):
        return True
    return all(_quantity_problem("", value) is None for value in values)


def _agent_fields_problem(event: UsageEvent) -> EventProblem | None:
    # Events are stored as they came: a caller's debits would take from any lease that it names.
    if not event.debits and not event.HasField("settlement"):
        return None
    field = "debits" if event.debits else "settlement"
    return EventProblem(
        reason="FIELD_SET_BY_AGENT_ONLY",
        message=f"{field} is set by the agent, from its leases; leave it out, and call "
        "ReserveQuota and SettleReservation for a call under a limit",
    )


def _size_problem(event: UsageEvent) -> EventProblem | None:
    size = event.ByteSize()
    if size <= EVENT_BYTES_MAX:
        return None
    return EventProblem(
        reason="EVENT_TOO_LARGE",
        message=f"the event has {size} bytes; at most {EVENT_BYTES_MAX} can be valid: leave out "
        "fields that are not in the contract (proto/metering/api/v1/usage.proto), and zeros that "
        "pad quantities",
    )


def _event_id_problem(event_id: str) -> EventProblem | None:
    if _EVENT_ID.fullmatch(event_id):
        return None
    return EventProblem(
        reason="EVENT_ID_MALFORMED",
        message=f"event_id {_shown(event_id)} must be 1 to {EVENT_ID_BYTES_MAX} characters of "
        "printable ASCII without spaces; a UUIDv7 is best",
    )


def _customer_id_problem(customer_id: str) -> EventProblem | None:
    if (
        0 < len(customer_id.encode()) <= CUSTOMER_ID_BYTES_MAX
        and customer_id == customer_id.strip()
        and not _CONTROL.search(customer_id)
    ):
        return None
    return EventProblem(
        reason="CUSTOMER_ID_MALFORMED",
        message=f"customer_id {_shown(customer_id)} must be 1 to {CUSTOMER_ID_BYTES_MAX} bytes of "
        "UTF-8 without control characters or surrounding spaces",
    )


def _event_time_problem(event: UsageEvent, *, receive_time_us: int) -> EventProblem | None:
    if not event.HasField("event_time"):
        return None
    seconds, nanos = event.event_time.seconds, event.event_time.nanos
    if not (
        _TIMESTAMP_SECONDS_MIN <= seconds <= _TIMESTAMP_SECONDS_MAX
        and 0 <= nanos < _NANOS_PER_SECOND
    ):
        return EventProblem(
            reason="EVENT_TIME_MALFORMED",
            message=f"event_time is not a timestamp (seconds {seconds}, nanos {nanos}): seconds "
            "must lie in the years 1 to 9999 and nanos in 0 to 999,999,999",
        )
    event_time_us = _event_time_us(event)
    if event_time_us < receive_time_us - ACCEPT_PAST_US:
        return EventProblem(
            reason="EVENT_TIME_TOO_OLD",
            message=f"event_time lies {_hours(receive_time_us - event_time_us)} h before the "
            "agent's clock; at most 35 days (840 h) are accepted: check the sender's clock, or "
            "have the operator adjust the usage at the server",
        )
    if event_time_us > receive_time_us + ACCEPT_FUTURE_US:
        return EventProblem(
            reason="EVENT_TIME_IN_FUTURE",
            message=f"event_time lies {(event_time_us - receive_time_us) // _US_PER_SECOND} s "
            "after the agent's clock; at most 300 s are accepted: check the sender's clock",
        )
    return None


def _quantities_problem(event: UsageEvent) -> EventProblem | None:
    quantities = event.quantities
    # A unique count needs no quantity, only the dimension whose values it counts.
    if not quantities and not event.dimensions:
        return EventProblem(
            reason="QUANTITIES_MISSING",
            message='quantities and dimensions are empty; name a quantity, e.g. {"requests": "1"}, '
            "or the dimension that a unique count is of",
        )
    if len(quantities) > QUANTITY_COUNT_MAX:
        return EventProblem(
            reason="TOO_MANY_QUANTITIES",
            message=f"quantities has {len(quantities)} entries; at most {QUANTITY_COUNT_MAX} are "
            "accepted: split them over several events",
        )
    for name in quantities:
        problem = _quantity_name_problem(name) or _quantity_problem(name, quantities[name])
        if problem is not None:
            return problem
    return None


def _quantity_problem(name: str, value: str) -> EventProblem | None:
    if _PLAIN_QUANTITY.fullmatch(value):
        return None
    try:
        parse_quantity(value)
    except ValidationError as error:
        return EventProblem(
            reason=error.reason, message=f"quantities[{_shown(name)}]: {error.message}"
        )
    return None


def _quantity_name_problem(name: str) -> EventProblem | None:
    return _key_problem(name, field="quantities", reason="QUANTITY_NAME_MALFORMED")


def _dimensions_problem(dimensions: Mapping[str, str]) -> EventProblem | None:
    if len(dimensions) > DIMENSION_COUNT_MAX:
        return EventProblem(
            reason="TOO_MANY_DIMENSIONS",
            message=f"dimensions has {len(dimensions)} entries; at most {DIMENSION_COUNT_MAX} are "
            "accepted: keep those that are priced or grouped by",
        )
    for key in dimensions:
        problem = _dimension_key_problem(key) or _dimension_value_problem(key, dimensions[key])
        if problem is not None:
            return problem
    return None


def _dimension_key_problem(key: str) -> EventProblem | None:
    return _key_problem(key, field="dimensions", reason="DIMENSION_KEY_MALFORMED")


def _key_problem(key: str, *, field: str, reason: str) -> EventProblem | None:
    if 0 < len(key.encode()) <= KEY_BYTES_MAX and not _CONTROL.search(key):
        return None
    return EventProblem(
        reason=reason,
        message=f"{field}: name {_shown(key)} must be 1 to {KEY_BYTES_MAX} bytes of UTF-8 without "
        "control characters",
    )


def _dimension_value_problem(key: str, value: str) -> EventProblem | None:
    # NUL is the one character that not every database can store in a text.
    if len(value.encode()) <= DIMENSION_VALUE_BYTES_MAX and "\x00" not in value:
        return None
    return EventProblem(
        reason="DIMENSION_VALUE_MALFORMED",
        message=f"dimensions[{_shown(key)}]: value {_shown(value)} must be at most "
        f"{DIMENSION_VALUE_BYTES_MAX} bytes of UTF-8 without NUL characters",
    )


def _event_time_us(event: UsageEvent) -> int:
    return int(event.event_time.seconds * _US_PER_SECOND + event.event_time.nanos // 1000)


def _hours(span_us: int) -> int:
    return span_us // (3600 * _US_PER_SECOND)


def _shown(text: str) -> str:
    """Returns the text quoted and cut for a message."""
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return repr(text)
    return repr(text[:_SHOWN_CHARACTERS_MAX]) + "…"
