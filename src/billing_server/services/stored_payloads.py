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
"""Different names and sets of dimensions that are remembered; then all are forgotten."""
_EVENT_ID, _CUSTOMER, _EVENT_TIME, _QUANTITY = 0x0A, 0x12, 0x1A, 0x22
"""Tags of the fields of a UsageEvent, all of them with a length behind; dimensions are the rest."""
_DIMENSIONS_NUMBER: Final = 5
_NAME, _VALUE = 0x0A, 0x12
"""Tags in an entry of a map."""
_LENGTH_MORE: Final = 0x80
"""From here on a length has several bytes."""
_ZERO: Final = 0x30

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
    """Reads payloads; remembers names and dimensions that it has seen, within a bound."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._dimensions: dict[bytes, Dimensions] = {}
        self._by_json: dict[str, Dimensions] = {}

    def read(self, payloads: Iterable[bytes]) -> list[tuple[list[Quantity], Dimensions]]:
        """Returns quantities and dimensions of each payload, in their order."""
        if len(self._names) > REMEMBERED_MAX:
            self._names.clear()
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
        while at < end and payload[at] == _QUANTITY:
            start, size = at + 2, payload[at + 1]
            at = start + size
            text_at = start + payload[start + 1] + 4
            if (
                size >= _LENGTH_MORE
                or payload[text_at - 2] != _VALUE
                or payload[text_at - 1] != at - text_at
            ):
                raise _UnusualError
            name = self._names.get(payload[start : text_at - 2]) or self._name(
                payload[start : text_at - 2]
            )
            text = payload[text_at:at]
            if text.isdigit() and len(text) <= QUANTITY_DIGITS_MAX and text[0] != _ZERO:
                quantities.append((name, int(text)))
            else:
                quantities.append(_quantity(name, text.decode()))
        rest = payload[at:]
        dimensions = self._dimensions.get(rest)
        if dimensions is None:
            dimensions = self._read_dimensions(rest)
        if len(quantities) > 1 and len(last := dict(quantities)) < len(quantities):
            quantities = list(last.items())  # Of a name that stands twice the last one counts.
        return quantities, dimensions

    def _name(self, head: bytes) -> str:
        """Returns the name in an entry up to its value, and remembers it."""
        if head[0] != _NAME or head[1] != len(head) - 2:
            raise _UnusualError
        name = self._names[head] = sys.intern(head[2:].decode())
        return name

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
