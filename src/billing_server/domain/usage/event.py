"""The canonical content of a usage event, by which a repeated id is judged (R13)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from metering.errors import ValidationError
from metering.quantity import canonical_quantity


@dataclass(frozen=True, slots=True)
class EventContent:
    """What the caller sent, in canonical form: equal contents compare equal.

    The event id and the customer are the key, not the content; the time of receipt is neither.
    """

    event_time_ns: int | None
    """Nanoseconds since 1970 UTC as sent; None: left unset, whatever the receiver filled in."""
    quantities: tuple[tuple[str, str], ...]
    """Sorted by name; plain decimals without trailing zeros."""
    dimensions: tuple[tuple[str, str], ...]
    """Sorted by name."""

    def canonical_json(self) -> str:
        """Returns one line of JSON that is equal for equal contents."""
        return json.dumps(
            {
                "event_time_ns": self.event_time_ns,
                "quantities": dict(self.quantities),
                "dimensions": dict(self.dimensions),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )


def event_content(
    *,
    event_time_ns: int | None,
    quantities: Mapping[str, str],
    dimensions: Mapping[str, str],
) -> EventContent:
    """Returns the canonical content of an event as the caller sent it.

    Args:
        event_time_ns: nanoseconds since 1970 UTC; None where the caller left the time unset.
        quantities: name to decimal string; `{"t": "1.50"}` equals `{"t": "1.5"}`. What is no
            decimal is kept as it was sent: such an event waits in quarantine, and its copy is
            still a duplicate.
        dimensions: name to value.
    """
    return EventContent(
        event_time_ns=event_time_ns,
        quantities=tuple(
            sorted((name, _canonical_or_as_sent(text)) for name, text in quantities.items())
        ),
        dimensions=tuple(sorted(dimensions.items())),
    )


def _canonical_or_as_sent(text: str) -> str:
    try:
        return canonical_quantity(text)
    except ValidationError:
        return text
