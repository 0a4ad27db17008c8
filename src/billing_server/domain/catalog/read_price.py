"""Readers of the prices of a plan, from located values to frozen ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.model import (
    BillTiming,
    OneTimePrice,
    Price,
    Proratable,
    RecurringPrice,
    TierScope,
    UsagePrice,
)
from billing_server.domain.catalog.read_period import read_billing_period
from billing_server.domain.catalog.read_tax import read_price_tax
from billing_server.domain.document import MapNode, Node, as_it_is
from billing_server.domain.fields import (
    FieldReader,
    boolean,
    choice,
    key_text,
    not_a_choice,
    price,
    quantity,
    text,
)
from billing_server.domain.rating.adjustments import read_discount
from billing_server.domain.rating.conversion import read_conversion
from billing_server.domain.rating.models import price_model_reader
from billing_server.domain.rating.price_model import ZERO
from metering.quantity import plain_decimal

GROUP_DIMENSIONS_MAX: Final = 4
"""Dimensions of one `group_by`; each more multiplies the lines of an invoice."""


def read_price(reader: FieldReader) -> Price | None:
    """Reads a price of any kind."""
    kind = reader.required("kind", _price_kind)
    if kind is None:
        reader.note_misspelt("kind", "key")
        return None
    return kind(reader)


def _read_recurring(reader: FieldReader) -> RecurringPrice | None:
    key = reader.required("key", key_text)
    amount = reader.required("amount", price)
    bill = reader.optional("bill", choice(BillTiming), default=BillTiming.IN_ADVANCE)
    own_period = read_billing_period(reader) if reader.has("billing_period") else None
    per_unit = reader.maybe("per_unit", key_text)
    name = reader.optional("name", text, default="")
    category, behavior = read_price_tax(reader)
    reader.finish()
    if key is None or amount is None:
        return None
    return RecurringPrice(
        key=key,
        amount=amount,
        bill=bill,
        billing_period=own_period,
        per_unit=per_unit,
        name=name,
        tax_category=category,
        tax_behavior=behavior,
    )


def _read_one_time(reader: FieldReader) -> OneTimePrice | None:
    key = reader.required("key", key_text)
    amount = reader.required("amount", price)
    name = reader.optional("name", text, default="")
    category, behavior = read_price_tax(reader)
    reader.finish()
    if key is None or amount is None:
        return None
    return OneTimePrice(
        key=key, amount=amount, name=name, tax_category=category, tax_behavior=behavior
    )


def _read_usage(reader: FieldReader) -> UsagePrice | None:
    key = reader.required("key", key_text)
    meter = reader.required("meter", key_text)
    name = reader.optional("name", text, default="")
    where = reader.text_map("where")
    group_by, group_tiers = _read_groups(reader)
    category, behavior = read_price_tax(reader)
    found = read_usage_terms(reader, key=key or "", meter=meter or "")
    if found is None:
        return None
    if key is None or meter is None:
        return None
    return replace(
        found,
        name=name,
        where=where,
        group_by=group_by,
        group_tiers=group_tiers,
        tax_category=category,
        tax_behavior=behavior,
    )


def read_usage_terms(reader: FieldReader, *, key: str, meter: str) -> UsagePrice | None:
    """Reads all of a usage price that its amounts depend on: the model and its modifiers.

    Args:
        reader: of the price's fields; those that nobody asked for are noted.
        key: of the price.
        meter: that it prices.
    """
    convert, discount = reader.child("convert"), reader.child("discount")
    conversion = None if convert is None else read_conversion(convert)
    taken_off = None if discount is None else read_discount(discount)
    included = _read_included(reader)
    maximum, minimum = _read_bounds(reader)
    charge_flat_at_zero = reader.optional("charge_flat_at_zero", boolean, default=False)
    prorate = _read_prorate(reader)
    estimate = reader.maybe("estimate_unit_price", price)
    unit_cost = reader.maybe("unit_cost", price)
    read_model = reader.required("model", price_model_reader)
    if read_model is None:
        # Which further fields belong here is not known without a model.
        reader.note_misspelt("model")
        return None
    model = read_model(reader)
    reader.finish()
    if model is None:
        return None
    return UsagePrice(
        key=key,
        meter=meter,
        convert=conversion,
        included=included,
        model=model,
        charge_flat_at_zero=charge_flat_at_zero,
        discount=taken_off,
        maximum=maximum,
        minimum=minimum,
        prorate=prorate,
        estimate_unit_price=estimate,
        unit_cost=unit_cost,
    )


def _read_bounds(reader: FieldReader) -> tuple[Decimal | None, Decimal]:
    """Reads `maximum` and `minimum`."""
    maximum = reader.maybe("maximum", price)
    minimum = reader.optional("minimum", price, default=ZERO)
    if maximum is not None and minimum > maximum:
        problem = (
            f"{plain_decimal(minimum)} is above maximum {plain_decimal(maximum)}; write a minimum "
            "that is at most the maximum"
        )
        reader.note("minimum", reason="MINIMUM_ABOVE_MAXIMUM", problem=problem)
    return maximum, minimum


def _read_included(reader: FieldReader) -> Decimal:
    """Reads `included`, which may also be called `free_units`."""
    if reader.has("included") and reader.has("free_units"):
        problem = "included and free_units are the same thing; write one of them"
        reader.note("free_units", reason="INCLUDED_TWICE", problem=problem)
    included = reader.optional("included", quantity, default=ZERO)
    return reader.optional("free_units", quantity, default=included)


def _read_prorate(reader: FieldReader) -> frozenset[Proratable]:
    """Reads which terms a short segment scales; all where nothing is said."""
    if not reader.has("prorate"):
        return frozenset(Proratable)
    return frozenset(reader.values("prorate", choice(Proratable)))


def _read_groups(reader: FieldReader) -> tuple[tuple[str, ...], TierScope]:
    """Reads `group_by`: a list of dimensions, or {dimensions: […], tiers: shared | per_group}."""
    node = reader.maybe("group_by", as_it_is)
    if node is None:
        return (), TierScope.SHARED
    inner, name, scope = reader, "group_by", TierScope.SHARED
    if isinstance(node, MapNode):
        inner = FieldReader(node, path=reader.path_of("group_by"), mistakes=reader.mistakes)
        name = "dimensions"
        scope = inner.optional("tiers", choice(TierScope), default=TierScope.SHARED)
    dimensions = tuple(inner.values(name, key_text))
    if inner is not reader:
        inner.finish()
    if len(set(dimensions)) < len(dimensions):
        problem = "a dimension stands twice; keep one of them"
        inner.note(name, reason="GROUP_DUPLICATE", problem=problem)
    if len(dimensions) > GROUP_DIMENSIONS_MAX:
        problem = f"{len(dimensions)} dimensions; group by at most {GROUP_DIMENSIONS_MAX}"
        inner.note(name, reason="GROUPS_TOO_MANY", problem=problem)
    return dimensions, scope


_PRICE_KINDS: Final[Mapping[str, Callable[[FieldReader], Price | None]]] = {
    "recurring": _read_recurring,
    "one_time": _read_one_time,
    "usage": _read_usage,
}


def _price_kind(node: Node) -> Callable[[FieldReader], Price | None]:
    word = text(node)
    kind = _PRICE_KINDS.get(word)
    if kind is None:
        raise not_a_choice(word, known=list(_PRICE_KINDS), later={}, reason="PRICE_KIND_UNKNOWN")
    return kind
