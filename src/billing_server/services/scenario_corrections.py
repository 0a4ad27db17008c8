"""Corrections of usage in a scenario: `void_usage`, `amend_usage`, `adjust_usage`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from billing_server.domain.document import MapNode, Node
from billing_server.domain.fields import FieldReader, identifier, instant, key_text, quantity, text
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import (
    AdjustmentRequest,
    adjust_usage,
    amend_usage,
    void_usage,
)
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True)
class VoidUsageStep:
    """An event is to count nothing."""

    event_id: str
    """Which."""
    customer_id: str | None
    """Whose; None: the only one with this event id."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True)
class AmendUsageStep:
    """An event is to count other quantities."""

    event_id: str
    """Which."""
    customer_id: str | None
    """Whose; None: the only one with this event id."""
    quantities: Mapping[str, str]
    """Name to decimal string."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True)
class AdjustUsageStep:
    """A signed quantity is to be added to a meter."""

    request: AdjustmentRequest
    """What to which meter."""


CorrectionStep = VoidUsageStep | AmendUsageStep | AdjustUsageStep
"""What an entry of the timeline does to usage that was counted."""


def read_void(reader: FieldReader, _node: Node) -> VoidUsageStep | None:
    """Reads `void_usage {event_id}`."""
    event_id = reader.required("event_id", identifier)
    customer_id = reader.maybe("customer", identifier)
    reason = reader.optional("reason", text, default="")
    reader.finish()
    return None if event_id is None else VoidUsageStep(event_id, customer_id, reason)


def read_amend(reader: FieldReader, node: Node) -> AmendUsageStep | None:
    """Reads `amend_usage {event_id, quantities}`."""
    event_id = reader.required("event_id", identifier)
    customer_id = reader.maybe("customer", identifier)
    inner = reader.required_child("quantities")
    quantities = {
        name: plain_decimal(value)
        for name in names_in(node, "quantities")
        if (value := inner.required(name, quantity)) is not None
    }
    reason = reader.optional("reason", text, default="")
    reader.finish()
    return None if event_id is None else AmendUsageStep(event_id, customer_id, quantities, reason)


def read_adjust(reader: FieldReader, _node: Node) -> AdjustUsageStep | None:
    """Reads `adjust_usage {customer, meter, quantity (signed), event_time, reason}`."""
    customer_id = reader.required("customer", identifier)
    meter = reader.required("meter", key_text)
    amount = reader.required("quantity", text)
    reason = reader.required("reason", text)
    event_time = reader.maybe("event_time", instant)
    dimensions = reader.text_map("dimensions")
    reader.finish()
    if customer_id is None or meter is None or amount is None or reason is None:
        return None
    request = AdjustmentRequest(
        customer_id=customer_id,
        meter_key=meter,
        quantity=amount,
        reason=reason,
        event_time=event_time,
        dimensions=dimensions,
    )
    return AdjustUsageStep(request)


READERS: Final[Mapping[str, Callable[[FieldReader, Node], CorrectionStep | None]]] = {
    "void_usage": read_void,
    "amend_usage": read_amend,
    "adjust_usage": read_adjust,
}
"""Verb to the reader of its fields."""


def play_correction(context: ServiceContext, step: CorrectionStep) -> tuple[str, dict[str, str]]:
    """Carry out a correction; return what is told of it."""
    match step:
        case VoidUsageStep(event_id, customer_id, reason):
            done = void_usage(context, event_id=event_id, customer_id=customer_id, reason=reason)
            return "usage.voided", {"customer": done.customer_id, "event_id": event_id}
        case AmendUsageStep(event_id, customer_id, quantities, reason):
            done = amend_usage(
                context,
                event_id=event_id,
                customer_id=customer_id,
                quantities=quantities,
                reason=reason,
            )
            return "usage.amended", {"customer": done.customer_id, "event_id": event_id}
        case AdjustUsageStep(request):
            adjust_usage(context, request=request)
            return "usage.adjusted", {
                "customer": request.customer_id,
                "meter": request.meter_key,
                "quantity": request.quantity,
            }


def names_in(node: Node, key: str) -> list[str]:
    """Return the names in a mapping of an entry, as they stand there."""
    inner = node.entries.get(key) if isinstance(node, MapNode) else None
    return list(inner.entries) if isinstance(inner, MapNode) else []
