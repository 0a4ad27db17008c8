"""Reading the payloads of many stored events: what makes a check of millions bearable.

A payload is a serialized UsageEvent, and all that is wanted of it are quantities and dimensions. To
make a message of each and ask it costs twice as much as to walk its few bytes. So the usual form is
walked here: fields in their order, none longer than 127 bytes. Anything else is protobuf's matter.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from billing_server.domain.catalog.serialize import canonical_json
from metering.api.v1 import usage_pb2
from metering.quantity import QUANTITY_DIGITS_MAX

REMEMBERED_MAX: Final = 100_000
"""Different quantities, and sets of dimensions, that are remembered."""
_EVENT_ID, _CUSTOMER, _EVENT_TIME, _QUANTITY = 0x0A, 0x12, 0x1A, 0x22
"""Tags of the fields of a UsageEvent, all of them with a length behind; dimensions are the rest."""
_DIMENSIONS_NUMBER: Final = 5
_NAME, _VALUE = 0x0A, 0x12
"""Tags in an entry of a map."""
_LENGTH_MORE: Final = 0x80
"""From here on a length has several bytes."""

Quantity = tuple[str, int | str]
"""Name and value: an integer where the text is a whole number in its one way to be written, else
the text as it came."""


class Dimensions(NamedTuple):
    """Dimensions of events, read once for all that carry the same."""

    number: int
    """Tells them apart, quicker than their text."""
    values: Mapping[str, str]
    json: str
    """In canonical form."""


class _UnusualError(Exception):
    """A payload is not of the form that is walked here."""


class PayloadReader:
    """Reads payloads; remembers quantities and dimensions that it has seen, within a bound."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Quantity] = {}
        self._dimensions: dict[bytes, Dimensions] = {}
        self._by_json: dict[str, Dimensions] = {}

    def read(self, payloads: Iterable[bytes]) -> list[tuple[list[Quantity], Dimensions]]:
        """Returns quantities and dimensions of each payload, in their order."""
        if len(self._dimensions) > REMEMBERED_MAX:
            self._dimensions.clear()
            self._by_json.clear()
        return [self._read(payload) for payload in payloads]

    def _read(self, payload: bytes) -> tuple[list[Quantity], Dimensions]:
        try:
            return self._walk(payload)
        except (_UnusualError, IndexError, UnicodeDecodeError, DecodeError):
            event = usage_pb2.UsageEvent.FromString(payload)
            quantities = [_quantity(name, text) for name, text in event.quantities.items()]
            return quantities, self._dimensions_of(dict(event.dimensions))

    def _walk(self, payload: bytes) -> tuple[list[Quantity], Dimensions]:
        """Reads a payload of the usual form.

        Raises:
            _UnusualError: it is not; so does an IndexError say.
        """
        at, end = 0, len(payload)
        for tag in (_EVENT_ID, _CUSTOMER, _EVENT_TIME):
            if at < end and payload[at] == tag:
                if payload[at + 1] >= _LENGTH_MORE:
                    raise _UnusualError
                at += payload[at + 1] + 2
        quantities: list[Quantity] = []
        entries = self._entries
        while at < end and payload[at] == _QUANTITY:
            start = at + 2
            at = start + payload[at + 1]
            raw = payload[start:at]
            quantities.append(entries.get(raw) or self._entry(raw, size=payload[start - 1]))
        rest = payload[at:]
        dimensions = self._dimensions.get(rest)
        if dimensions is None:
            dimensions = self._read_dimensions(rest)
        if len(quantities) > 1 and len(last := dict(quantities)) < len(quantities):
            quantities = list(last.items())  # Of a name that stands twice the last one counts.
        return quantities, dimensions

    def _entry(self, raw: bytes, *, size: int) -> Quantity:
        """Returns an entry of the quantities, and remembers it: many events carry the same."""
        text_at = raw[1] + 4
        if (
            size >= _LENGTH_MORE
            or len(raw) != size
            or raw[0] != _NAME
            or raw[text_at - 2] != _VALUE
            or raw[text_at - 1] != size - text_at
        ):
            raise _UnusualError
        name = sys.intern(raw[2 : text_at - 2].decode())
        entry = _quantity(name, raw[text_at:].decode())
        if len(self._entries) < REMEMBERED_MAX:
            self._entries[raw] = entry
        return entry

    def _read_dimensions(self, rest: bytes) -> Dimensions:
        """Returns the dimensions behind the quantities, and remembers them."""
        event = usage_pb2.UsageEvent.FromString(rest)
        if any(field.number != _DIMENSIONS_NUMBER for field, _ in event.ListFields()):
            raise _UnusualError
        found = self._dimensions[rest] = self._dimensions_of(dict(event.dimensions))
        return found

    def _dimensions_of(self, values: Mapping[str, str]) -> Dimensions:
        text = canonical_json(values)
        # The entries of a map come in any order: the same dimensions keep one number.
        known = self._by_json.get(text)
        if known is None:
            known = self._by_json[text] = Dimensions(len(self._by_json), values, text)
        return known


def _quantity(name: str, text: str) -> Quantity:
    # Whether it is a whole number, and one that its integer gives back: not "007".
    is_whole = text.isdecimal() and text.isascii() and len(text) <= QUANTITY_DIGITS_MAX
    if is_whole and (text[0] != "0" or text == "0"):
        return name, int(text)
    return name, text
