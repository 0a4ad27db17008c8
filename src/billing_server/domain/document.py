"""YAML and JSON texts as trees of located, untyped values.

Numbers stay the text that a person wrote: nothing here ever makes a binary float of a price. Both
formats become the same tree, so that one set of readers (`fields.py`) serves catalog files, quotes,
scenarios and stored content.
"""

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import yaml
from yaml import events
from yaml.resolver import Resolver

from metering.errors import FieldViolation, ValidationError

TEXT_BYTES_MAX: Final = 1024 * 1024
"""Longest text that is read; a catalog of thousands of prices is far below it."""
DEPTH_MAX: Final = 32
"""Deepest nesting that is read; the deepest catalog uses 6."""

_PLAIN_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_TAG_PREFIX = "tag:yaml.org,2002:"


class ScalarKind(StrEnum):
    """What a scalar looks like to YAML or is in JSON."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    NULL = "null"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as it was written."""

    kind: ScalarKind
    """How it would be read."""
    text: str
    """What stands there, without quotes."""
    line: int | None = None
    """Line in the text, from 1; None where the source has no lines."""


@dataclass(frozen=True, slots=True)
class ListNode:
    """A sequence of values."""

    items: tuple["Node", ...]
    """In order."""
    line: int | None = None
    """Line on which it begins."""


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping from text to values; a key stands once."""

    entries: Mapping[str, "Node"]
    """In order."""
    line: int | None = None
    """Line on which it begins."""
    duplicates: tuple[tuple[str, int | None], ...] = ()
    """Keys that stand a second time, with the line; reported by whoever reads the mapping."""


Node = Scalar | ListNode | MapNode


def as_it_is(node: Node) -> Node:
    """Returns a node unread: what it is read as depends on its kind."""
    return node


def node_content(node: Node) -> Hashable:
    """Returns what a node holds: equal for equal texts, on whatever lines they stand."""
    if isinstance(node, Scalar):
        return (node.kind, node.text)
    if isinstance(node, ListNode):
        return tuple(map(node_content, node.items))
    entries = frozenset((key, node_content(item)) for key, item in node.entries.items())
    return (entries, node.duplicates)


def document_error(*, name: str, line: int | None, reason: str, problem: str) -> ValidationError:
    """Returns the error for a text that cannot be read as a tree at all."""
    place = name if line is None else f"{name}:{line}"
    message = f"{place}: {problem}"
    return ValidationError(
        reason=reason, message=message, violations=[FieldViolation(place, message, reason)]
    )


def load_yaml(text: str, *, name: str) -> Node:
    """Reads one YAML document.

    Aliases, explicit tags and a second document are refused: they have no use in a price list,
    and aliases can make a small file large.

    Args:
        text: at most 1 MiB of YAML 1.1.
        name: of the file, for messages.

    Raises:
        ValidationError: DOCUMENT_TOO_LARGE, DOCUMENT_TOO_DEEP, DOCUMENT_MALFORMED.
    """
    check_size(text, name=name)
    builder = _TreeBuilder(name)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise document_error(
            name=name,
            line=None if mark is None else mark.line + 1,
            reason="DOCUMENT_MALFORMED",
            problem=f"this is no YAML: {_yaml_problem(error)}",
        ) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise document_error(
            name=name, line=None, reason="DOCUMENT_MALFORMED", problem=f"this is no YAML: {error}"
        ) from error
    return builder.root or Scalar(ScalarKind.NULL, "", 1)


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be read"
    # What a tab before a field comes to, in words that nobody connects with a tab.
    if "cannot start any token" in problem:
        problem += "; indent with spaces, not tabs, and quote what begins with @, ` or %"
    return problem


def load_json(
    text: str, *, name: str, line: int | None = None, bytes_max: int = TEXT_BYTES_MAX
) -> Node:
    """Reads one JSON value; its numbers stay text.

    Args:
        text: JSON.
        name: of the file, for messages.
        line: on which the value stands, for JSON Lines.
        bytes_max: longest text that is read.

    Raises:
        ValidationError: DOCUMENT_TOO_LARGE, DOCUMENT_TOO_DEEP, DOCUMENT_MALFORMED.
    """
    check_size(text, name=name, bytes_max=bytes_max)
    try:
        value = json.loads(
            text,
            parse_float=lambda raw: Scalar(ScalarKind.FLOAT, raw, line),
            parse_int=lambda raw: Scalar(ScalarKind.INTEGER, raw, line),
            parse_constant=lambda raw: Scalar(ScalarKind.FLOAT, raw, line),
            object_pairs_hook=lambda pairs: _json_map(pairs, line),
        )
        node = _json_node(value, line)
        _check_depth(node, depth=0, name=name, line=line)
    except json.JSONDecodeError as error:
        raise document_error(
            name=name,
            line=error.lineno if line is None else line,
            reason="DOCUMENT_MALFORMED",
            problem=f"this is no JSON: {error.msg} at column {error.colno}",
        ) from error
    except RecursionError as error:
        raise _too_deep(name, line) from error
    return node


def node_from_plain(value: object, *, name: str = "request") -> Node:
    """Returns the tree of plain values: dict, list, str, int, bool, None.

    A float becomes a FLOAT scalar, which readers refuse by its field.

    Raises:
        ValidationError: DOCUMENT_MALFORMED for any other type, DOCUMENT_TOO_DEEP.
    """
    return _located(value, line=None, depth=0, name=name)


def check_size(text: str, *, name: str, bytes_max: int = TEXT_BYTES_MAX) -> None:
    """Refuses a text that is longer than it may be.

    Raises:
        ValidationError: DOCUMENT_TOO_LARGE.
    """
    if len(text.encode("utf-8", "surrogatepass")) > bytes_max:
        raise document_error(
            name=name,
            line=None,
            reason="DOCUMENT_TOO_LARGE",
            problem=f"the text is longer than {bytes_max} bytes; split it into several",
        )


def _too_deep(name: str, line: int | None) -> ValidationError:
    return document_error(
        name=name,
        line=line,
        reason="DOCUMENT_TOO_DEEP",
        problem=f"the text nests more than {DEPTH_MAX} levels; no field needs that many",
    )


def _json_map(pairs: list[tuple[str, object]], line: int | None) -> MapNode:
    """Makes the node of a JSON object while it is read: its inner objects are nodes already."""
    return _map_node([(key, _json_node(value, line)) for key, value in pairs], line)


def _json_node(value: object, line: int | None) -> Node:
    if type(value) is str:
        return Scalar(ScalarKind.TEXT, value, line)
    if isinstance(value, (Scalar, MapNode)):
        return value
    if isinstance(value, list):
        return ListNode(tuple([_json_node(item, line) for item in value]), line)
    return _plain_scalar(value, line=line, name="")


def _check_depth(node: Node, *, depth: int, name: str, line: int | None) -> None:
    if depth > DEPTH_MAX:
        raise _too_deep(name, line)
    if isinstance(node, MapNode):
        inner: Iterable[Node] = node.entries.values()
    elif isinstance(node, ListNode):
        inner = node.items
    else:
        return
    for item in inner:
        if type(item) is not Scalar:
            _check_depth(item, depth=depth + 1, name=name, line=line)


def _map_node(pairs: Sequence[tuple[str, Node]], line: int | None) -> MapNode:
    entries = dict(pairs)
    if len(entries) == len(pairs):
        return MapNode(entries, line)
    keys = [key for key, _ in pairs]
    duplicates = [(key, line) for position, key in enumerate(keys) if key in keys[:position]]
    return MapNode(entries, line, tuple(duplicates))


def _located(value: object, *, line: int | None, depth: int, name: str) -> Node:
    """Turns plain values into nodes, children first."""
    if depth > DEPTH_MAX:
        raise _too_deep(name, line)
    if type(value) is str:  # Most values are, and a match takes several times as long.
        return Scalar(ScalarKind.TEXT, value, line)
    match value:
        case Mapping():
            pairs = [
                (str(key), _located(item, line=line, depth=depth + 1, name=name))
                for key, item in value.items()
            ]
            return _map_node(pairs, line)
        case list() | tuple():
            items = (_located(item, line=line, depth=depth + 1, name=name) for item in value)
            return ListNode(tuple(items), line)
        case _:
            return _plain_scalar(value, line=line, name=name)


def _plain_scalar(value: object, *, line: int | None, name: str) -> Scalar:
    match value:
        case None:
            return Scalar(ScalarKind.NULL, "null", line)
        case bool():
            return Scalar(ScalarKind.BOOLEAN, "true" if value else "false", line)
        case str():
            return Scalar(ScalarKind.TEXT, value, line)
        case int():
            return Scalar(ScalarKind.INTEGER, str(value), line)
    if type(value).__name__ == "float":
        return Scalar(ScalarKind.FLOAT, repr(value), line)
    raise document_error(
        name=name,
        line=line,
        reason="DOCUMENT_MALFORMED",
        problem=f"a value of type {type(value).__name__} stands where text belongs",
    )


class _OpenNode:
    """A list or mapping that is still being read."""

    __slots__ = ("duplicates", "entries", "is_map", "items", "key", "line")

    def __init__(self, line: int, *, is_map: bool) -> None:
        self.line = line
        self.is_map = is_map
        self.items: list[Node] = []
        self.entries: dict[str, Node] = {}
        self.duplicates: list[tuple[str, int | None]] = []
        self.key: str | None = None

    def close(self) -> Node:
        if self.is_map:
            return MapNode(self.entries, self.line, tuple(self.duplicates))
        return ListNode(tuple(self.items), self.line)


class _TreeBuilder:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, name: str) -> None:
        self.root: Node | None = None
        self._name = name
        self._open: list[_OpenNode] = []
        self._resolver = Resolver()
        self._document_count = 0

    def take(self, event: events.Event) -> None:
        """Takes the parser's next event."""
        mark = event.start_mark
        line = 1 if mark is None else mark.line + 1
        match event:
            case events.DocumentStartEvent():
                self._document_count += 1
                if self._document_count > 1:
                    raise self._refused(line, "a second document begins here; use one file each")
            case events.AliasEvent():
                raise self._refused(line, f"the alias *{event.anchor} is not read; write it out")
            case events.ScalarEvent():
                self._refuse_tag(event.tag, line)
                self._put(self._scalar(event, line))
            case events.MappingStartEvent() | events.SequenceStartEvent():
                self._refuse_tag(event.tag, line)
                if len(self._open) >= DEPTH_MAX:
                    raise _too_deep(self._name, line)
                is_map = isinstance(event, events.MappingStartEvent)
                self._open.append(_OpenNode(line, is_map=is_map))
            case events.MappingEndEvent() | events.SequenceEndEvent():
                self._put(self._open.pop().close())

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if not parent.is_map:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar) or node.kind is ScalarKind.NULL:
                raise self._refused(node.line, "a field's name has to be text")
            parent.key = node.text
            if node.text in parent.entries:
                parent.duplicates.append((node.text, node.line))
        else:
            parent.entries[parent.key] = node
            parent.key = None

    def _scalar(self, event: events.ScalarEvent, line: int) -> Scalar:
        text: str = event.value
        if not event.implicit[0]:
            return Scalar(ScalarKind.TEXT, text, line)
        tag = self._resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        kind = {
            "int": ScalarKind.INTEGER,
            "float": ScalarKind.FLOAT,
            "bool": ScalarKind.BOOLEAN,
            "null": ScalarKind.NULL,
            "timestamp": ScalarKind.TIMESTAMP,
        }.get(str(tag).removeprefix(_TAG_PREFIX), ScalarKind.TEXT)
        if kind is ScalarKind.INTEGER and not _PLAIN_INTEGER.fullmatch(text):
            # 012, 0x1f, 1_000 and 1:30 are integers to YAML 1.1 and surprises to everybody else.
            kind = ScalarKind.FLOAT
        return Scalar(kind, text, line)

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!":
            raise self._refused(line, f"the tag {tag} is not read; write a plain value")

    def _refused(self, line: int | None, problem: str) -> ValidationError:
        return document_error(
            name=self._name, line=line, reason="DOCUMENT_MALFORMED", problem=problem
        )
