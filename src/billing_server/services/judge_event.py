"""Why an event has to wait, and the row that it waits in."""

from typing import Final

from billing_server.domain.ports.usage import EventRow
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.usage_payload import DecodedEvent

CUSTOMER_UNKNOWN: Final = "CUSTOMER_UNKNOWN"
INTERNAL_ERROR: Final = "INTERNAL_ERROR"
DETAIL_LENGTH_MAX: Final = 4_000
"""Characters of an explanation or a trace that are kept with an event."""
TOO_LARGE: Final = Quarantine(
    "QUANTITY_TOO_LARGE",
    "quantities: with this event the usage of one minute would pass 64 bits; it is not counted",
)
"""Why an event waits whose bucket would overflow; nothing ever wraps."""
AMOUNT_TOO_LARGE: Final = Quarantine(
    "AMOUNT_TOO_LARGE",
    "quantities: with this event one price of one period would come to more than 10^15 minor units "
    "of its currency, which no invoice holds; it is not counted. Send the right quantity under "
    "another event id, or correct the price",
)
"""Why an event waits that no invoice could hold: it would stop the invoices of its customer."""


def unknown_customer(event: DecodedEvent) -> Quarantine:
    """Returns why an event of a customer that does not exist has to wait (R20)."""
    return Quarantine(
        CUSTOMER_UNKNOWN,
        f"customer_id: there is no customer {event.row.customer_id!r}; create it and the event is "
        "counted",
    )


def waiting_row(event: DecodedEvent, quarantine: Quarantine) -> EventRow:
    """Returns the row of an event that waits."""
    return event.row._replace(
        quarantine_reason=quarantine.reason,
        quarantine_detail=detail_of(quarantine),
    )


def detail_of(quarantine: Quarantine) -> str:
    """Returns the explanation as it is stored: an event's names may hold what no database keeps."""
    return quarantine.message[-DETAIL_LENGTH_MAX:].replace("\0", "\N{REPLACEMENT CHARACTER}")
