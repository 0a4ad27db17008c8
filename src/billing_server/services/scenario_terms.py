"""Entries of a scenario that change a running subscription: versions, overrides, add-ons."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from billing_server.domain.catalog.override import plain_from_node
from billing_server.domain.catalog.read import QUANTITY_MAX, read_quantities
from billing_server.domain.document import MapNode, Node, Scalar, ScalarKind
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    identifier,
    instant,
    integer,
    key_text,
    text,
)
from billing_server.services.change_addons import add_addon, remove_addon
from billing_server.services.change_terms import Effective, Moment, effective_from_text
from billing_server.services.context import ServiceContext
from billing_server.services.move_version import MoveWish, move_version
from billing_server.services.override_price import override_price
from billing_server.services.scenario_steps import TermsStep
from metering.clock import format_instant


def play_terms_step(context: ServiceContext, *, step: TermsStep) -> dict[str, str]:
    """Carry a change out; return what to tell of it."""
    told = {"subscription": step.subscription_id}
    match step.verb:
        case "move_version":
            wish = MoveWish(version=step.version, effective=step.effective)
            moved = move_version(context, subscription_id=step.subscription_id, wish=wish)
            told["version"] = f"{moved.from_version} -> {moved.to_version}"
            if moved.start is not None:
                told["effective"] = format_instant(moved.start)
        case "override":
            override_price(
                context,
                subscription_id=step.subscription_id,
                price=step.name,
                fields=step.fields,
                effective=step.effective,
            )
            told |= override_told(step.name, fields=step.fields)
        case "add_addon":
            add_addon(
                context,
                subscription_id=step.subscription_id,
                addon_key=step.name,
                effective=step.effective,
                quantities=step.quantities,
            )
            told["addon"] = step.name
        case _:
            remove_addon(
                context,
                subscription_id=step.subscription_id,
                addon_key=step.name,
                effective=step.effective,
            )
            told["addon"] = step.name
    return told


def override_told(price: str, *, fields: Mapping[str, object]) -> dict[str, str]:
    """Returns what to tell of a subscription's own terms for a price."""
    return {"price": price, "set": json.dumps(fields, ensure_ascii=False)}


def read_terms_step(reader: FieldReader, *, verb: str) -> TermsStep | None:
    """Reads an entry whose verb is one of `TERMS_VERBS`."""
    subscription_id = reader.required("subscription", identifier)
    default = _DEFAULT_MOMENTS[verb]
    effective = reader.optional("effective", _effective, default=default)
    count_before = reader.mistakes.count
    step = TERMS_VERBS[verb](reader, subscription_id or "", effective)
    reader.finish()
    is_whole = subscription_id is not None and reader.mistakes.count == count_before
    return step if is_whole else None


def _read_move(reader: FieldReader, subscription_id: str, effective: Effective) -> TermsStep:
    version = reader.required("version", integer(low=1, high=QUANTITY_MAX))
    return TermsStep(
        verb="move_version",
        subscription_id=subscription_id,
        effective=effective,
        version=version or 0,
    )


def _read_override(reader: FieldReader, subscription_id: str, effective: Effective) -> TermsStep:
    return TermsStep(
        verb="override",
        subscription_id=subscription_id,
        effective=effective,
        name=reader.required("price", key_text) or "",
        fields=reader.required("set", _fields) or {},
    )


def _read_add(reader: FieldReader, subscription_id: str, effective: Effective) -> TermsStep:
    return TermsStep(
        verb="add_addon",
        subscription_id=subscription_id,
        effective=effective,
        name=reader.required("addon", key_text) or "",
        quantities=read_quantities(reader),
    )


def _read_remove(reader: FieldReader, subscription_id: str, effective: Effective) -> TermsStep:
    return TermsStep(
        verb="remove_addon",
        subscription_id=subscription_id,
        effective=effective,
        name=reader.required("addon", key_text) or "",
    )


TERMS_VERBS: Final[Mapping[str, Callable[[FieldReader, str, Effective], TermsStep]]] = {
    "move_version": _read_move,
    "override": _read_override,
    "add_addon": _read_add,
    "remove_addon": _read_remove,
}
"""The verb to the reader of its own fields."""
_DEFAULT_MOMENTS: Final[Mapping[str, Effective]] = {
    "move_version": Moment.RENEWAL,
    "override": Moment.NOW,
    "add_addon": Moment.NOW,
    "remove_addon": Moment.RENEWAL,
}


def _fields(node: Node) -> dict[str, object]:
    plain = plain_from_node(node)
    if not isinstance(node, MapNode) or not isinstance(plain, dict):
        raise FieldMistake("FIELD_MALFORMED", "the fields that differ belong here, in {…}")
    return plain


def _effective(node: Node) -> Effective:
    if isinstance(node, Scalar) and node.kind is ScalarKind.TIMESTAMP:
        return instant(node)
    return effective_from_text(text(node))
