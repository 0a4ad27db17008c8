"""Where the items of catalog files stand, for what is found wrong with them after reading."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from billing_server.domain.document import ListNode, MapNode, Node, Scalar
from billing_server.domain.fields import FieldReader, Mistakes, raise_violations
from metering.errors import InvariantError

CATALOG_REFUSED: Final = "CATALOG_CHANGE_REFUSED"
_NAME_FIELDS: Final = {"customers": "id", "subscriptions": "id"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that cannot be made."""

    section: str
    """Of the file, such as `meters`."""
    key: str
    """Key or id of the item."""
    field: str
    """Field of the item."""
    problem: str
    """What is wrong and what to do."""
    reason: str
    """Stable reason in UPPER_SNAKE_CASE."""


class CatalogPlaces:
    """The items of some catalog files by section and key."""

    def __init__(self, nodes: Sequence[tuple[str, Node]], *, path: str = "") -> None:
        """Keeps the files.

        Args:
            nodes: file name and located values of each.
            path: of the field that holds the catalog; empty: the whole file is one.
        """
        self._files = [
            FieldReader(node, path=path, mistakes=Mistakes(name))
            for name, node in nodes
            if isinstance(node, MapNode)
        ]

    def names(self, section: str, *, field: str | None = None) -> Iterator[str]:
        """Walks one field of every item, the key where none is named, before any is checked."""
        name = field or _NAME_FIELDS.get(section, "key")
        for _, item in self._items(section):
            value = item.entries.get(name)
            if isinstance(value, Scalar):
                yield value.text

    def place_of(self, section: str, key: str) -> str:
        """Returns where an item stands: `catalog.yaml:12: plans[0]`."""
        reader = self._reader_of(section, key)
        return f"{reader.mistakes.name}:{reader.line}: {reader.path}"

    def raise_refused(self, refusals: Sequence[Refusal]) -> None:
        """Raises one ValidationError with every refusal as a violation, unless there are none."""
        for each in refusals:
            reader = self._reader_of(each.section, each.key)
            reader.note(each.field, reason=each.reason, problem=each.problem)
        found = [violation for file in self._files for violation in file.mistakes.violations]
        raise_violations(found, reason=CATALOG_REFUSED)

    def _reader_of(self, section: str, key: str) -> FieldReader:
        name = _NAME_FIELDS.get(section, "key")
        for reader, item in self._items(section):
            value = item.entries.get(name)
            if isinstance(value, Scalar) and value.text == key:
                return reader
        raise InvariantError(reason="PLACE_UNKNOWN", message=f"no {section} {key!r} in the files")

    def _items(self, section: str) -> Iterator[tuple[FieldReader, MapNode]]:
        for file in self._files:
            items = file.node_of(section)
            for number, item in enumerate(items.items if isinstance(items, ListNode) else ()):
                path = f"{file.path_of(section)}[{number}]"
                if isinstance(item, MapNode):
                    yield FieldReader(item, path=path, mistakes=file.mistakes), item
