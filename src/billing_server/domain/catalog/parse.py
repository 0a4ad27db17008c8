"""Catalog files: from text to frozen values, with every mistake found at once."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from billing_server.domain.catalog.cross_checks import CrossChecks, ReadCatalog
from billing_server.domain.catalog.model import CatalogFile
from billing_server.domain.catalog.read import (
    read_addon,
    read_customer,
    read_meter,
    read_plan,
    read_subscription_entry,
)
from billing_server.domain.catalog.read_tax import read_tax_rate
from billing_server.domain.document import Node, load_yaml
from billing_server.domain.fields import FieldReader, Mistakes, identifier, peek, raise_violations

T = TypeVar("T")

CATALOG_INVALID: Final = "CATALOG_INVALID"
NOTHING_KNOWN: Final = CatalogFile()
_LATER_SECTIONS: Final = {
    "coupons": "coupons",
    "credits": "credits",
}


def parse_catalog(text: str, *, name: str, known: CatalogFile = NOTHING_KNOWN) -> CatalogFile:
    """Reads a catalog file (YAML; JSON is a part of it).

    Args:
        text: at most 1 MiB.
        name: of the file, for messages.
        known: what is applied already and may be referred to.

    Raises:
        ValidationError: CATALOG_INVALID, with one violation for each mistake in the file: field
            path, `file:line: path: what is wrong and what to do`, and its own reason.
    """
    return parse_catalog_files([(name, text)], known=known)


def parse_catalog_files(
    files: Sequence[tuple[str, str]], *, known: CatalogFile = NOTHING_KNOWN
) -> CatalogFile:
    """Reads several files as one catalog: each may refer to what another holds.

    Args:
        files: name and text of each.
        known: what is applied already and may be referred to.
    """
    nodes = [(name, load_yaml(text, name=name)) for name, text in files]
    return parse_catalog_nodes(nodes, known=known)


def parse_catalog_nodes(
    nodes: Sequence[tuple[str, Node]], *, known: CatalogFile = NOTHING_KNOWN, path: str = ""
) -> CatalogFile:
    """Reads located values as one catalog, such as the `catalog` part of a scenario.

    Args:
        nodes: file name and values of each.
        known: what is applied already and may be referred to.
        path: of the field that holds the catalog; empty: the whole file is one.
    """
    sections = [FieldReader(node, path=path, mistakes=Mistakes(name)) for name, node in nodes]
    parser = _CatalogParser(known)
    catalog = parser.parse(sections)
    violations = [violation for section in sections for violation in section.mistakes.violations]
    raise_violations(violations, reason=CATALOG_INVALID)
    return catalog


class _CatalogParser:
    """Reads the sections in the order of their references: meters, plans, customers, …."""

    def __init__(self, known: CatalogFile) -> None:
        self._known = known
        self._read_keys: dict[str, frozenset[str]] = {}

    def parse(self, files: list[FieldReader]) -> CatalogFile:
        meters = self._section(files, "meters", key="key", read=read_meter)
        meter_keys = self._read_keys["meters"] | {meter.key for meter in self._known.meters}
        plans = self._section(
            files, "plans", key="key", read=lambda item: read_plan(item, meter_keys=meter_keys)
        )
        addons = self._section(
            files, "addons", key="key", read=lambda item: read_addon(item, meter_keys=meter_keys)
        )
        tax_rates = self._section(files, "tax_rates", key="key", read=read_tax_rate)
        customers = self._section(
            files,
            "customers",
            key="id",
            read=lambda item: read_customer(item, meter_keys=meter_keys),
        )
        subscriptions = self._section(
            files, "subscriptions", key="id", read=read_subscription_entry
        )
        read = ReadCatalog(
            meters=meters,
            plans=plans,
            addons=addons,
            tax_rates=tax_rates,
            customers=customers,
            subscriptions=subscriptions,
            keys=self._read_keys,
        )
        CrossChecks(self._known, read=read).note_all()
        for file in files:
            file.finish(later=_LATER_SECTIONS)
        return read.values()

    def _section(
        self,
        files: list[FieldReader],
        section: str,
        *,
        key: str,
        read: Callable[[FieldReader], T | None],
    ) -> dict[str, tuple[T, FieldReader]]:
        """Reads one list of every file; a key stands once in all of them."""
        found: dict[str, tuple[T, FieldReader]] = {}
        first_place: dict[str, str] = {}
        for file in files:
            for path, node in file.items(section):
                reader = FieldReader(node, path=path, mistakes=file.mistakes)
                value = read(reader)
                # A key counts as there even where the rest of the item is wrong: what refers to it
                # is not a second mistake.
                name = peek(node, key, identifier)
                if name is None:
                    continue
                if name in first_place:
                    problem = f"{name!r} stands in {first_place[name]} already; keep one of them"
                    reader.note(key, reason="KEY_DUPLICATE", problem=problem)
                    continue
                first_place[name] = f"{file.mistakes.name} {path}"
                if value is not None:
                    found[name] = (value, reader)
        self._read_keys[section] = frozenset(first_place)
        return found
