"""Reading the payloads of many stored events at once: what makes a check of millions bearable.

A payload is a serialized UsageEvent. Many of them, each behind a tag and its length, are one
message of a list; and what is wanted of them are only quantities and dimensions. So they are read
by a message of our own with the same field numbers, in which an entry of a map stays the bytes that
it is: equal entries are read once.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from billing_server.domain.catalog.serialize import canonical_json
from metering.api.v1 import usage_pb2
from metering.quantity import QUANTITY_DIGITS_MAX

ENTRIES_CACHED_MAX: Final = 200_000
"""Different entries that are remembered; then all are forgotten."""
_TAG: Final = b"\x0a"
_VALUE_TAG: Final = 0x12
_VARINT_MORE: Final = 0x80


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


def _messages() -> Any:
    """Returns the class of a list of events whose maps are lists of bytes."""
    file = descriptor_pb2.FileDescriptorProto(
        name="billing_server/stored_payloads.proto",
        package="billing_server.stored_payloads",
        syntax="proto3",
    )
    names = usage_pb2.UsageEvent.DESCRIPTOR.fields_by_name
    event = file.message_type.add(name="Event")
    for name in ("quantities", "dimensions"):
        event.field.add(
            name=name,
            number=names[name].number,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
        )
    file.message_type.add(name="Events").field.add(
        name="events",
        number=1,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
        type_name=".billing_server.stored_payloads.Event",
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("billing_server.stored_payloads.Events")
    return message_factory.GetMessageClass(found)


_EVENTS: Final = _messages()


class PayloadReader:
    """Reads payloads; remembers entries that it has seen, within a bound."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Quantity] = {}
        self._dimensions: dict[tuple[bytes, ...], Dimensions] = {}
        self._by_json: dict[str, Dimensions] = {}

    def read(self, payloads: Iterable[bytes]) -> Iterator[tuple[list[Quantity], Dimensions]]:
        """Yields quantities and dimensions of each payload, in their order."""
        framed = b"".join([_TAG + _length(len(payload)) + payload for payload in payloads])
        entries, known = self._entries, self._dimensions
        if len(entries) > ENTRIES_CACHED_MAX:
            entries.clear()
        if len(known) > ENTRIES_CACHED_MAX:
            known.clear()
            self._by_json.clear()
        for event in _EVENTS.FromString(framed).events:
            key = tuple(event.dimensions[:])  # A slice is made at once, not item by item.
            dimensions = known.get(key)
            if dimensions is None:
                dimensions = known[key] = self._read_dimensions(key)
            quantities = []
            for raw in event.quantities[:]:
                entry = entries.get(raw)
                if entry is None:
                    entry = entries[raw] = _quantity(raw)
                quantities.append(entry)
            if len(quantities) > 1 and len(last := dict(quantities)) < len(quantities):
                quantities = list(last.items())  # Of a name that stands twice the last one counts.
            yield quantities, dimensions

    def _read_dimensions(self, key: tuple[bytes, ...]) -> Dimensions:
        values = dict(_entry(raw) for raw in key)
        text = canonical_json(values)
        # The entries of a map come in any order: the same dimensions keep one number.
        known = self._by_json.get(text)
        if known is None:
            known = self._by_json[text] = Dimensions(len(self._by_json), values, text)
        return known


def _quantity(raw: bytes) -> Quantity:
    name, text = _entry(raw)
    # Whether it is a whole number, and one that its integer gives back: not "007".
    is_whole = text.isdecimal() and text.isascii() and len(text) <= QUANTITY_DIGITS_MAX
    if is_whole and (text[0] != "0" or text == "0"):
        return sys.intern(name), int(text)
    return name, text


def _entry(raw: bytes) -> tuple[str, str]:
    """Returns one entry of a map; protobuf itself reads what is not of the usual short form."""
    if 1 < len(raw) < _VARINT_MORE and raw[:1] == _TAG:
        value = raw[1] + 4
        if raw[value - 2 : value] == bytes((_VALUE_TAG, max(len(raw) - value, 0))):
            return raw[2 : value - 2].decode(), raw[value:].decode()
    message = usage_pb2.UsageEvent.FromString(b"\x22" + _length(len(raw)) + raw)
    ((name, text),) = message.quantities.items()
    return name, text


def _length(size: int) -> bytes:
    """Returns a length as a varint."""
    if size < _VARINT_MORE:
        return _SHORT[size]
    digits = []
    while size >= _VARINT_MORE:
        digits.append(size & 0x7F | _VARINT_MORE)
        size >>= 7
    digits.append(size)
    return bytes(digits)


_SHORT: Final = [bytes([size]) for size in range(_VARINT_MORE)]
