"""Events that cannot be stored or placed as they came: each waits alone, for an operator.

An agent refuses them, so they come from one with a fault. A push that held one would otherwise fail
for ever, and with it everything that the agent recorded later.
"""

import hashlib
from typing import Final

from billing_server.domain.ports.usage import EventRow

ID_BYTES_MAX: Final = 128
"""Longest id of an event or customer."""
EVENT_TIME_US_MAX: Final = 7_258_118_400_000_000
"""Usage lies before the year 2200: minutes since 1970 have to fit into 32 bits, and billing periods
into the calendar."""
EVENT_ID_MALFORMED: Final = "EVENT_ID_MALFORMED"
CUSTOMER_ID_MALFORMED: Final = "CUSTOMER_ID_MALFORMED"
EVENT_TIME_MALFORMED: Final = "EVENT_TIME_MALFORMED"
MALFORMED_REASONS: Final = frozenset(
    {EVENT_ID_MALFORMED, CUSTOMER_ID_MALFORMED, EVENT_TIME_MALFORMED}
)
"""Why an event waits for good: no customer or meter that comes would make it right."""
SAFE_KEY_PREFIX: Final = "malformed:"
"""What the key begins with that stands for one that no database keeps."""


def storable_row(row: EventRow) -> EventRow:
    """Returns the row as it is, or as one that waits under a key and time that can be stored.

    The payload stays what was shipped. The same event gets the same key again.
    """
    if not _is_id(row.event_id):
        row = row._replace(
            event_id=SAFE_KEY_PREFIX + hashlib.sha256(row.payload).hexdigest(),
            quarantine_reason=EVENT_ID_MALFORMED,
            quarantine_detail=_id_detail("event_id"),
        )
    if not _is_id(row.customer_id):
        digest = hashlib.sha256(row.customer_id.encode()).hexdigest()
        row = row._replace(
            customer_id=SAFE_KEY_PREFIX + digest,
            quarantine_reason=CUSTOMER_ID_MALFORMED,
            quarantine_detail=_id_detail("customer_id"),
        )
    if not 0 <= row.event_time_us < EVENT_TIME_US_MAX:
        row = row._replace(
            event_time_us=row.receive_time_us,
            quarantine_reason=EVENT_TIME_MALFORMED,
            quarantine_detail="event_time: it lies outside the years 1970 to 2199; the time of "
            "receipt stands in its place here. Send the usage again under another event id",
        )
    return row


def _id_detail(field: str) -> str:
    return (
        f"{field}: it has to have 1 to {ID_BYTES_MAX} bytes and no NUL; the payload holds it as it "
        "came. Send the usage again under a right one"
    )


def _is_id(text: str) -> bool:
    """Tells whether a database can keep the id; the agent has judged the rest."""
    length = len(text) if text.isascii() else len(text.encode())
    return 0 < length <= ID_BYTES_MAX and "\0" not in text
