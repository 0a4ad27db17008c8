"""Readers that turn located values into typed ones and collect every mistake on the way."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from billing_server.domain.document import ListNode, MapNode, Node, Scalar, ScalarKind
from billing_server.domain.mistakes import FieldMistake, Mistakes, raise_violations
from metering.clock import parse_instant
from metering.errors import InvariantError, MeteringError
from metering.money import minor_unit_digits, parse_price
from metering.period import time_zone
from metering.quantity import parse_quantity

__all__ = [
    "FLOAT_NOT_ALLOWED",
    "ID_BYTES_MAX",
    "KEY_BYTES_MAX",
    "NOT_SUPPORTED",
    "TEXT_BYTES_MAX",
    "FieldMistake",
    "FieldReader",
    "Mistakes",
    "Parser",
    "boolean",
    "choice",
    "currency",
    "identifier",
    "instant",
    "integer",
    "key_text",
    "not_a_choice",
    "peek",
    "present",
    "price",
    "quantity",
    "raise_violations",
    "text",
    "timezone",
]

T = TypeVar("T")
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)
Parser = Callable[[Node], T]

NOT_SUPPORTED: Final = "NOT_SUPPORTED_YET"
FLOAT_NOT_ALLOWED: Final = "FLOAT_NOT_ALLOWED"
KEY_BYTES_MAX: Final = 64
"""Longest key of a meter, plan, price or dimension; the same as in usage events."""
ID_BYTES_MAX: Final = 128
"""Longest id of a customer or subscription; the same as in usage events."""
TEXT_BYTES_MAX: Final = 256
"""Longest name or other text."""


class FieldReader:
    """Reads the fields of one mapping. Wrong ones are noted and read as None or the default."""

    def __init__(self, node: Node, *, path: str, mistakes: Mistakes) -> None:
        self.path = path
        self.line = node.line
        self.mistakes = mistakes
        self._asked: dict[str, None] = {}
        self._entries: Mapping[str, Node] = {}
        if isinstance(node, MapNode):
            self._entries = node.entries
            for key, line in node.duplicates:
                problem = "the field stands twice; keep one of them"
                self._add(key, line=line, reason="FIELD_DUPLICATE", problem=problem)
        else:
            problem = f"{_describe(node)} stands where fields belong; write name: value, one a line"
            mistakes.add(path, line=node.line, reason="FIELD_MALFORMED", problem=problem)

    def path_of(self, key: str) -> str:
        """Returns the whole path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether a field is there and not null; counts as reading it."""
        return self._get(key) is not None

    def line_of(self, key: str) -> int | None:
        """Returns the line of a field, or that of the mapping where the field is absent."""
        node = self._entries.get(key)
        return self.line if node is None else node.line

    def node_of(self, key: str) -> Node | None:
        """Returns the located value of a field, unread; None where it is absent."""
        return self._get(key)

    def note(self, key: str, *, reason: str, problem: str) -> None:
        """Notes a mistake about a field."""
        self._add(key, line=self.line_of(key), reason=reason, problem=problem)

    def optional(self, key: str, parser: Parser[T], *, default: T) -> T:
        """Returns a field's value, or the default where it is absent or wrong."""
        node = self._get(key)
        if node is None:
            return default
        value = self._parse(key, node, parser)
        return default if value is None else value

    def maybe(self, key: str, parser: Parser[T]) -> T | None:
        """Returns a field's value; None where it is absent or wrong."""
        node = self._get(key)
        return None if node is None else self._parse(key, node, parser)

    def required(self, key: str, parser: Parser[T]) -> T | None:
        """Returns a field's value; None where it is wrong or, which is noted, absent."""
        node = self._get(key)
        if node is None:
            self._add(key, line=self.line, reason="FIELD_MISSING", problem="the field is missing")
            return None
        return self._parse(key, node, parser)

    def items(self, key: str) -> Iterator[tuple[str, Node]]:
        """Yields path and value of each item of a list; nothing where it is absent."""
        node = self._get(key)
        if node is None:
            return
        if not isinstance(node, ListNode):
            problem = f"{_describe(node)} stands where a list belongs"
            self._add(key, line=node.line, reason="FIELD_MALFORMED", problem=problem)
            return
        for position, item in enumerate(node.items):
            yield f"{self.path_of(key)}[{position}]", item

    def child(self, key: str) -> "FieldReader | None":
        """Returns the reader of an inner mapping; None where it is absent."""
        node = self._get(key)
        if node is None:
            return None
        return FieldReader(node, path=self.path_of(key), mistakes=self.mistakes)

    def required_child(self, key: str) -> "FieldReader":
        """Returns the reader of an inner mapping; where it is absent, which is noted, an empty one.

        What is then missing inside is no further mistake.
        """
        child = self.child(key)
        if child is not None:
            return child
        self._add(key, line=self.line, reason="FIELD_MISSING", problem="the field is missing")
        return FieldReader(MapNode({}), path=self.path_of(key), mistakes=Mistakes(""))

    def values(self, key: str, parser: Parser[T]) -> list[T]:
        """Returns the values of a list; wrong ones are noted and left out."""
        values = []
        for path, node in self.items(key):
            value = self._parse_at(path, node, parser)
            if value is not None:
                values.append(value)
        return values

    def text_map(self, key: str) -> dict[str, str]:
        """Returns an inner mapping of text to text, as in `where`."""
        child = self.child(key)
        if child is None:
            return {}
        values = {}
        for name in child._entries:
            value = child.required(name, text)
            if value is not None:
                values[name] = value
        return values

    def finish(self, *, later: Mapping[str, str] | None = None) -> None:
        """Notes every field that nobody asked for.

        Args:
            later: fields that are part of the format and not of this version, with what they do.
        """
        later = later or {}
        for key in self._entries:
            if key in self._asked:
                continue
            if key in later:
                problem = f"{later[key]} is not supported by this version yet; leave the field out"
                self.note(key, reason=NOT_SUPPORTED, problem=problem)
                continue
            known = sorted(set(self._asked) | set(later))
            remedy = _nearest(key, known) or f"known are: {', '.join(known)}"
            self.note(key, reason="FIELD_UNKNOWN", problem=f"unknown field; {remedy}")

    def note_misspelt(self, *wanted: str) -> None:
        """Notes what looks like one of `wanted`; for where the other fields cannot be judged."""
        for key in self._entries:
            remedy = _nearest(key, wanted)
            if remedy is not None and key not in self._asked and key not in wanted:
                self.note(key, reason="FIELD_UNKNOWN", problem=f"unknown field; {remedy}")

    def _get(self, key: str) -> Node | None:
        self._asked[key] = None
        node = self._entries.get(key)
        if node is not None and type(node) is Scalar and node.kind is ScalarKind.NULL:
            return None
        return node

    def _parse(self, key: str, node: Node, parser: Parser[T]) -> T | None:
        return self._parse_at(self.path_of(key), node, parser)

    def _parse_at(self, path: str, node: Node, parser: Parser[T]) -> T | None:
        try:
            return parser(node)
        except (FieldMistake, MeteringError) as error:
            problem = error.problem if isinstance(error, FieldMistake) else error.message
            self.mistakes.add(path, line=node.line, reason=error.reason, problem=problem)
            return None

    def _add(self, key: str, *, line: int | None, reason: str, problem: str) -> None:
        self.mistakes.add(self.path_of(key), line=line, reason=reason, problem=problem)


def present(value: T | None) -> T:
    """Returns a value that was read without a mistake.

    Raises:
        InvariantError: READER_SILENT where a reader returned None and noted nothing.
    """
    if value is None:
        raise InvariantError(reason="READER_SILENT", message="a value was refused without a reason")
    return value


def peek(node: Node, key: str, parser: Parser[T]) -> T | None:
    """Returns a field of a mapping without noting mistakes; None where it cannot be read."""
    return FieldReader(node, path="", mistakes=Mistakes("")).maybe(key, parser)


def text(node: Node) -> str:
    """Reads text of 1..256 bytes without control characters."""
    scalar = _scalar(node)
    if scalar.kind is ScalarKind.TEXT:
        value = scalar.text
        if not value or len(value.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
            raise FieldMistake("TEXT_LENGTH", f"the text has to have 1..{TEXT_BYTES_MAX} bytes")
        if not value.isprintable() or value != value.strip():
            problem = "the text has control characters or surrounding spaces; remove them"
            raise FieldMistake("TEXT_MALFORMED", problem)
        return value
    problem = f'{scalar.text} is {_describe(scalar)}, not text; quote it: "{scalar.text}"'
    raise FieldMistake("TEXT_NOT_QUOTED", problem)


def key_text(node: Node) -> str:
    """Reads a key of 1..64 bytes without spaces."""
    value = text(node)
    if len(value.encode("utf-8", "replace")) > KEY_BYTES_MAX or any(map(str.isspace, value)):
        raise FieldMistake("KEY_MALFORMED", f"a key has 1..{KEY_BYTES_MAX} bytes and no spaces")
    return value


def identifier(node: Node) -> str:
    """Reads the id of a customer or subscription: 1..128 bytes."""
    value = text(node)
    if len(value.encode("utf-8", "replace")) > ID_BYTES_MAX:
        raise FieldMistake("ID_MALFORMED", f"an id has 1..{ID_BYTES_MAX} bytes")
    return value


def quantity(node: Node) -> Decimal:
    """Reads a quantity >= 0 of at most 18 digits, at most 9 of them after the point."""
    raw = _number_text(node)
    if raw.startswith("-"):  # The kernel's answer speaks of usage; here stand limits and tiers.
        raise FieldMistake("QUANTITY_NEGATIVE", f"{raw} is negative; write 0 or more")
    return parse_quantity(raw)


def price(node: Node) -> Decimal:
    """Reads a price >= 0 in major units."""
    return parse_price(_number_text(node))


def integer(*, low: int, high: int) -> Parser[int]:
    """Returns the reader of a whole number from low to high."""

    def parse(node: Node) -> int:
        scalar = _scalar(node)
        raw = scalar.text
        is_whole = raw.removeprefix("-").isdecimal() and raw.isascii()
        if scalar.kind not in {ScalarKind.INTEGER, ScalarKind.TEXT} or not is_whole:
            problem = f"{raw} is no whole number; write one from {low} to {high}"
            raise FieldMistake("INTEGER_MALFORMED", problem)
        if len(raw) > len(str(high)) + 1 or not low <= int(raw) <= high:
            problem = f"{raw} is out of range; write a whole number from {low} to {high}"
            raise FieldMistake("INTEGER_OUT_OF_RANGE", problem)
        return int(raw)

    return parse


def boolean(node: Node) -> bool:
    """Reads true or false."""
    scalar = _scalar(node)
    if scalar.kind is not ScalarKind.BOOLEAN:
        raise FieldMistake("BOOLEAN_MALFORMED", f"{scalar.text} is not true or false")
    return scalar.text.lower() in {"true", "yes", "on"}


def instant(node: Node) -> datetime:
    """Reads an RFC 3339 instant, quoted or not, and returns it in UTC."""
    scalar = _scalar(node)
    if scalar.kind not in {ScalarKind.TEXT, ScalarKind.TIMESTAMP}:
        problem = f"{scalar.text} is no instant; write one like 2026-03-01T00:00:00Z"
        raise FieldMistake("INSTANT_MALFORMED", problem)
    return parse_instant(scalar.text)


def choice(
    values: type[ChoiceT],
    *,
    later: Mapping[str, str] | None = None,
    reason: str = "CHOICE_UNKNOWN",
) -> Parser[ChoiceT]:
    """Returns the reader of one of an enum's values.

    Args:
        values: the values of this version.
        later: values that are part of the format and not of this version, with what they are.
        reason: of a value that is neither.
    """

    def parse(node: Node) -> ChoiceT:
        raw = _scalar(node).text
        known = [str(value) for value in values]
        if raw in known:
            return values(raw)
        raise not_a_choice(raw, known=known, later=later or {}, reason=reason)

    return parse


def not_a_choice(
    raw: str, *, known: list[str], later: Mapping[str, str], reason: str = "CHOICE_UNKNOWN"
) -> FieldMistake:
    """Returns the mistake for a word that is not among the known ones."""
    options = f"use one of: {', '.join(known)}"
    if raw in later:
        problem = f"{raw}: {later[raw]} is not supported by this version yet; {options}"
        return FieldMistake(NOT_SUPPORTED, problem)
    remedy = _nearest(raw, [*known, *later]) or options
    return FieldMistake(reason, f"{raw!r} is not known here; {remedy}")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def currency(node: Node) -> str:
    """Reads an ISO 4217 code."""
    code = text(node)
    minor_unit_digits(code)
    return code


def timezone(node: Node) -> str:
    """Reads the name of an IANA time zone."""
    name = text(node)
    time_zone(name)
    return name


def _scalar(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        raise FieldMistake("FIELD_MALFORMED", f"{_describe(node)} stands where one value belongs")
    return node


def _number_text(node: Node) -> str:
    scalar = _scalar(node)
    if scalar.kind is ScalarKind.FLOAT:
        raw = scalar.text
        problem = f'{raw} would be read as a float and lose digits; quote it: "{raw}"'
        raise FieldMistake(FLOAT_NOT_ALLOWED, problem)
    if scalar.kind not in {ScalarKind.TEXT, ScalarKind.INTEGER}:
        problem = f'{scalar.text} is {_describe(scalar)}; write a quoted number like "0.01"'
        raise FieldMistake("NUMBER_MALFORMED", problem)
    return scalar.text


def _describe(node: Node) -> str:
    match node:
        case MapNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case Scalar(kind=ScalarKind.NULL):
            return "nothing"
        case Scalar(kind=ScalarKind.INTEGER | ScalarKind.FLOAT):
            return "a number"
        case Scalar(kind=ScalarKind.BOOLEAN):
            return "true or false"
        case Scalar(kind=ScalarKind.TIMESTAMP):
            return "a time"
        case Scalar():
            return "text"
