"""Usage entries of a scenario's timeline, read from the file of the scenario."""

from datetime import UTC, datetime, timedelta
from typing import Final

from billing_server.domain.document import MapNode, Node
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    identifier,
    instant,
    quantity,
    text,
)
from billing_server.services.scenario_file import ReadFile, UsageFile, read_usage_file
from billing_server.services.scenario_steps import UsageRowsStep, UsageStep
from metering.clock import parse_duration
from metering.quantity import plain_decimal

USAGE_EVENTS_MAX: Final = 100_000
"""Events that one `usage` entry may stand for."""


def read_usage(reader: FieldReader, *, node: Node, number: int) -> UsageStep | None:
    """Read a usage entry that names its quantities; None where it is wrong, which is noted."""
    customer_id = reader.required("customer", identifier)
    inner = reader.required_child("quantities")
    quantities = {
        name: plain_decimal(value)
        for name in _names_in(node, "quantities")
        if (value := inner.required(name, quantity)) is not None
    }
    step = UsageStep(
        customer_id=customer_id or "",
        event_id=reader.optional("event_id", identifier, default=f"timeline-{number}"),
        quantities=quantities,
        dimensions=reader.text_map("dimensions"),
        event_time=reader.maybe("event_time", instant),
        every=reader.maybe("every", _distance),
        until=reader.maybe("until", instant),
    )
    at = reader.maybe("at", instant)
    if (step.every is None) != (step.until is None):
        problem = "every and until belong together: give both or neither"
        reader.note("every", reason="REPEAT_INCOMPLETE", problem=problem)
    elif (
        step.every is not None
        and step.until is not None
        and at is not None
        and (step.until - at) // step.every > USAGE_EVENTS_MAX
    ):
        problem = f"this is more than {USAGE_EVENTS_MAX} events; use a longer distance"
        reader.note("every", reason="REPEAT_TOO_OFTEN", problem=problem)
    reader.finish()
    return None if customer_id is None else step


def read_usage_rows(
    reader: FieldReader, *, at: datetime | None, number: int, read_file: ReadFile
) -> UsageRowsStep | None:
    """Read a usage entry that names a file; None where it is wrong, which is noted.

    Raises:
        ValidationError: USAGE_FILE_INVALID, TRACE_MALFORMED, FILE_UNREADABLE.
    """
    path = reader.required("from_csv", text)
    file = UsageFile(
        name=path or "",
        start=at or datetime.min.replace(tzinfo=UTC),
        customer_id=reader.maybe("customer", identifier),
        event_id=reader.optional("event_id", identifier, default=f"timeline-{number}"),
        dimensions=reader.text_map("dimensions"),
    )
    reader.finish()
    if path is None or at is None:
        return None
    return UsageRowsStep(read_usage_file(read_file(path), file=file))


def _names_in(node: Node, key: str) -> list[str]:
    inner = node.entries.get(key) if isinstance(node, MapNode) else None
    return list(inner.entries) if isinstance(inner, MapNode) else []


def _distance(node: Node) -> timedelta:
    distance = parse_duration(text(node))
    if distance <= timedelta(0):
        raise FieldMistake("REPEAT_TOO_OFTEN", "the distance has to be longer than nothing")
    return distance
