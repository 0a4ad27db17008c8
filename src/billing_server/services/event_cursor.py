"""Where a page of usage events ends and the next one begins."""

import json

from billing_server.domain.ports.events import EventPosition
from billing_server.services.pages import PageRequest, cursor_from_key
from metering.errors import ValidationError


def event_cursor(position: EventPosition | None) -> str | None:
    """Return the cursor of the page behind an event; None: there is none."""
    return None if position is None else cursor_from_key(json.dumps(position))


def event_position(page: PageRequest) -> EventPosition | None:
    """Return the event after which a page begins; None: it is the first page.

    Raises:
        ValidationError: CURSOR_MALFORMED.
    """
    if page.after is None:
        return None
    try:
        time_us, event_id = json.loads(page.after)
        return int(time_us), str(event_id)
    except (ValueError, TypeError) as error:
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that a list has given; start again without it",
        ) from error
