"""Overrides: fields of a price that differ for one subscription."""

from collections.abc import Mapping
from typing import Final

from billing_server.domain.catalog.model import Price, UsagePrice
from billing_server.domain.catalog.read_price import read_price
from billing_server.domain.catalog.write_price import price_to_dict
from billing_server.domain.document import (
    ListNode,
    MapNode,
    Node,
    Scalar,
    ScalarKind,
    node_from_plain,
)
from billing_server.domain.fields import (
    FLOAT_NOT_ALLOWED,
    FieldMistake,
    FieldReader,
    Mistakes,
)
from metering.errors import InvariantError

FIXED_FIELDS: Final = (
    "key",
    "kind",
    "meter",
    "where",
    "group_by",
    "bill",
    "billing_period",
    "per_unit",
    "tax_category",
    "tax_behavior",
)
"""What a price is and when it falls due: another one is another price."""
OVERRIDE_INVALID: Final = "OVERRIDE_INVALID"


def overridden(price: Price, *, fields: Mapping[str, object], path: str = "override") -> Price:
    """Returns a price with some of its fields replaced.

    Args:
        price: of the plan.
        fields: in the form of a catalog file.
        path: of the fields, for messages.

    Raises:
        ValidationError: OVERRIDE_INVALID, one violation a mistake.
    """
    mistakes = Mistakes("")
    node = node_from_plain(dict(fields), name=path)
    found = read_overridden(price, node=node, path=path, mistakes=mistakes)
    mistakes.raise_if_any(reason=OVERRIDE_INVALID)
    if found is None:
        raise InvariantError(reason="READER_SILENT", message="an override was refused silently")
    return found


def read_overridden(price: Price, *, node: Node, path: str, mistakes: Mistakes) -> Price | None:
    """Reads the fields that differ; None where one is wrong, which is noted with its line.

    Another `model` leaves out the own fields of the one before it.
    """
    reader = FieldReader(node, path=path, mistakes=mistakes)
    entries = dict(node.entries) if isinstance(node, MapNode) else {}
    fixed = [name for name in FIXED_FIELDS if name in entries]
    for name in fixed:
        problem = f"{name} says what the price is and cannot differ; use an add-on or another plan"
        reader.note(name, reason="OVERRIDE_FIXED_FIELD", problem=problem)
    if fixed or not entries:
        return None
    base = price_to_dict(price)
    if isinstance(price, UsagePrice) and "model" in entries:
        base = {key: value for key, value in base.items() if key not in price.model.to_fields()}
    if "free_units" in entries:
        base.pop("included", None)
    plain = node_from_plain(base)
    known = dict(plain.entries) if isinstance(plain, MapNode) else {}
    return read_price(
        FieldReader(MapNode(known | entries, node.line), path=path, mistakes=mistakes)
    )


def canonical_fields(price: Price, *, fields: Mapping[str, object]) -> dict[str, object]:
    """Returns override fields in canonical writing, so that equal overrides are equal values.

    Args:
        price: that they are for.
        fields: as somebody wrote them; valid.
    """
    written = price_to_dict(overridden(price, fields=fields))
    names = {"included" if name == "free_units" else name for name in fields}
    return {name: written.get(name) for name in sorted(names)}


def plain_from_node(node: Node) -> object:
    """Returns located values as plain ones.

    Raises:
        FieldMistake: FLOAT_NOT_ALLOWED; a float would lose digits.
    """
    match node:
        case MapNode():
            return {key: plain_from_node(value) for key, value in node.entries.items()}
        case ListNode():
            return [plain_from_node(item) for item in node.items]
        case Scalar(kind=ScalarKind.NULL):
            return None
        case Scalar(kind=ScalarKind.BOOLEAN):
            return node.text.lower() in {"true", "yes", "on"}
        case Scalar(kind=ScalarKind.FLOAT):
            problem = f"{node.text} would be read as a float and lose digits; quote it"
            raise FieldMistake(FLOAT_NOT_ALLOWED, problem)
        case Scalar():
            return node.text
