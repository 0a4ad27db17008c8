"""Readers of the things that a catalog holds, from located values to frozen ones.

The same readers serve catalog files, the API and stored content. A reader returns None where
something is wrong; what is wrong is noted, with its line.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.model import (
    Addon,
    Aggregation,
    Meter,
    Plan,
    Price,
    SubscriptionEntry,
    UsagePrice,
)
from billing_server.domain.catalog.override import plain_from_node
from billing_server.domain.catalog.read_limit import read_limits
from billing_server.domain.catalog.read_period import (
    billing_instant,
    read_anchor,
    read_billing_period,
)
from billing_server.domain.catalog.read_price import read_price
from billing_server.domain.catalog.read_spend import read_commitment, read_thresholds
from billing_server.domain.catalog.tax_rules import note_mixed_tax
from billing_server.domain.document import MapNode, Node, as_it_is
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    choice,
    currency,
    identifier,
    instant,
    integer,
    key_text,
    peek,
    present,
    price,
    text,
    timezone,
)
from billing_server.domain.rating.matching import tied_prices
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxExemption
from metering.proration import ProrationUnit
from metering.quantity import QUANTITY_FRACTION_DIGITS_MAX

QUANTITY_MAX: Final = 10**9
"""Largest quantity of a subscription."""
_LATER_ADDON: Final = {
    "credits": "granting credits",
    "limits": "a limit",
}
_LATER_PLAN: Final = {
    "trial_days": "a trial",
    "trial_usage": "a trial",
    "credits": "granting credits",
}


def read_meter(reader: FieldReader) -> Meter | None:
    """Reads a meter."""
    key = reader.required("key", key_text)
    aggregation = reader.required("aggregation", choice(Aggregation))
    decimals = reader.optional(
        "decimals", integer(low=0, high=QUANTITY_FRACTION_DIGITS_MAX), default=0
    )
    if aggregation in {Aggregation.COUNT, Aggregation.UNIQUE_COUNT} and decimals:
        problem = "a count is a whole number; leave decimals out"
        reader.note("decimals", reason="DECIMALS_NOT_ALLOWED", problem=problem)
    of = _read_of(reader, aggregation=aggregation)
    unit = reader.optional("unit", text, default="unit")
    source = reader.maybe("quantity", key_text)
    where = reader.text_map("where")
    reader.finish()
    if key is None or aggregation is None or of is None:
        return None
    # A unique count reads a dimension: of which events, a quantity may say, and none need.
    default_source = "" if aggregation is Aggregation.UNIQUE_COUNT else key
    return Meter(
        key=key,
        unit=unit,
        aggregation=aggregation,
        decimals=decimals,
        quantity=source or default_source,
        of=of,
        where=where,
    )


def _read_of(reader: FieldReader, *, aggregation: Aggregation | None) -> str | None:
    """Reads which dimension a unique count counts; empty for other meters, None where wrong."""
    if aggregation is Aggregation.UNIQUE_COUNT:
        return reader.required("of", key_text)
    if reader.maybe("of", key_text) is not None and aggregation is not None:
        problem = f"only a unique_count counts values of a dimension, not a {aggregation}"
        reader.note("of", reason="OF_NOT_ALLOWED", problem=f"{problem}; leave it out")
        return None
    return ""


def read_plan(reader: FieldReader, *, meter_keys: frozenset[str] | None) -> Plan | None:
    """Reads a plan.

    Args:
        reader: of the plan's fields.
        meter_keys: the meters that prices may name; None: any.
    """
    key = reader.required("key", key_text)
    code = reader.required("currency", currency)
    name = reader.optional("name", text, default="")
    billing_period = read_billing_period(reader)
    anchor = read_anchor(reader, unit=billing_period.unit)
    proration = reader.optional("proration", choice(ProrationUnit), default=ProrationUnit.SECOND)
    effective_from = reader.maybe("effective_from", instant)
    minimum_spend = reader.maybe("minimum_spend", price)
    commitment = read_commitment(reader)
    thresholds = read_thresholds(reader)
    prices = _read_prices(reader, meter_keys=meter_keys)
    limits = read_limits(reader, meter_keys=meter_keys)
    reader.finish(later=_LATER_PLAN)
    if minimum_spend is not None or commitment is not None:
        note_mixed_tax(reader, prices=prices or ())
    if key is None or code is None or prices is None or limits is None:
        return None
    return Plan(
        key=key,
        name=name,
        currency=code,
        billing_period=billing_period,
        anchor=anchor,
        proration=proration,
        effective_from=effective_from,
        minimum_spend=minimum_spend,
        commitment=commitment,
        thresholds=thresholds,
        prices=prices,
        limits=limits,
    )


def read_addon(reader: FieldReader, *, meter_keys: frozenset[str] | None) -> Addon | None:
    """Reads an add-on.

    Args:
        reader: of the add-on's fields.
        meter_keys: the meters that prices may name; None: any.
    """
    key = reader.required("key", key_text)
    name = reader.optional("name", text, default="")
    code = reader.maybe("currency", currency)
    prices = _read_prices(reader, meter_keys=meter_keys)
    reader.finish(later=_LATER_ADDON)
    if key is None or prices is None:
        return None
    return Addon(key=key, name=name, currency=code, prices=prices)


def _read_prices(
    reader: FieldReader, *, meter_keys: frozenset[str] | None
) -> tuple[Price, ...] | None:
    mistakes = reader.mistakes
    count_before = mistakes.count
    by_key: dict[str, tuple[Price, FieldReader]] = {}
    for path, node in reader.items("prices"):
        price_reader = FieldReader(node, path=path, mistakes=mistakes)
        found = read_price(price_reader)
        # Looked up apart from the price, so that a wrong tier does not hide a wrong meter.
        meter = peek(node, "meter", key_text)
        if meter_keys is not None and meter is not None and meter not in meter_keys:
            problem = f"there is no meter {meter!r}; add it under meters, or correct the name"
            price_reader.note("meter", reason="METER_UNKNOWN", problem=problem)
        if found is None:
            continue
        if found.key in by_key:
            problem = f"{found.key!r} is the key of {by_key[found.key][1].path} already; rename one"
            price_reader.note("key", reason="PRICE_KEY_DUPLICATE", problem=problem)
            continue
        by_key[found.key] = (found, price_reader)
    prices = tuple(found for found, _ in by_key.values())
    _note_ties([found for found in prices if isinstance(found, UsagePrice)], readers=by_key)
    return prices if mistakes.count == count_before else None


def _note_ties(
    prices: list[UsagePrice], *, readers: Mapping[str, tuple[Price, FieldReader]]
) -> None:
    for first, second in tied_prices(prices):
        count = len(first.where)
        dimensions = "1 matched dimension" if count == 1 else f"{count} matched dimensions"
        problem = (
            f"prices {first.key!r} and {second.key!r} could both charge one event of meter "
            f"{first.meter!r}, each by {dimensions}; add a dimension to the where of one of them"
        )
        readers[second.key][1].note("where", reason="PRICES_TIED", problem=problem)


def read_customer(
    reader: FieldReader, *, meter_keys: frozenset[str] | None = None
) -> Customer | None:
    """Reads a customer.

    Args:
        reader: of the customer's fields.
        meter_keys: the meters that limits may name; None: any.
    """
    customer_id = reader.required("id", identifier)
    limits = read_limits(reader, meter_keys=meter_keys) if reader.has("limits") else None
    customer = Customer(
        id=customer_id or "",
        name=reader.optional("name", text, default=""),
        currency=reader.maybe("currency", currency),
        timezone=reader.optional("timezone", timezone, default="UTC"),
        country=reader.optional("country", text, default=""),
        region=reader.optional("region", key_text, default=""),
        tax_exempt=reader.optional("tax_exempt", choice(TaxExemption), default=TaxExemption.NONE),
        tax_id=reader.optional("tax_id", text, default=""),
        email=reader.optional("email", text, default=""),
        purchase_order=reader.optional("purchase_order", text, default=""),
        limits=limits,
    )
    reader.optional("billable", _only("true", "a customer that is not invoiced"), default=None)
    reader.finish()
    return None if customer_id is None else customer


def _only(wanted: str, otherwise: str) -> Callable[[Node], None]:
    """Returns the reader of a field of which this version knows a single value."""

    def parse(node: Node) -> None:
        raw = getattr(node, "text", "")
        if raw != wanted:
            problem = f"{otherwise} is not supported by this version yet; write {wanted}"
            raise FieldMistake("NOT_SUPPORTED_YET", problem)

    return parse


def read_subscription_entry(reader: FieldReader) -> SubscriptionEntry | None:
    """Reads a subscription as a catalog file asks for it."""
    subscription_id = reader.required("id", identifier)
    customer_id = reader.required("customer", identifier)
    plan_key = reader.required("plan", key_text)
    start = reader.maybe("start", billing_instant)
    anchor = reader.maybe("anchor", billing_instant)
    quantities = read_quantities(reader)
    overrides = read_overrides(reader)
    addons = tuple(reader.values("addons", key_text))
    if len(set(addons)) < len(addons):
        problem = "an add-on stands twice; keep one of them"
        reader.note("addons", reason="ADDON_DUPLICATE", problem=problem)
    reader.finish()
    if subscription_id is None or customer_id is None or plan_key is None:
        return None
    return SubscriptionEntry(
        id=subscription_id,
        customer_id=customer_id,
        plan_key=plan_key,
        start=start,
        anchor=anchor,
        quantities=quantities,
        overrides=overrides,
        addons=addons,
        emptied=frozenset(
            name
            for name, value in (("overrides", overrides), ("addons", addons))
            if reader.has(name) and not value
        ),
    )


def read_quantities(reader: FieldReader) -> dict[str, Decimal]:
    """Reads `quantities`: whole numbers by name, such as {seats: 3}."""
    node = reader.maybe("quantities", as_it_is)
    if not isinstance(node, MapNode):
        reader.child("quantities")  # Notes what stands there instead of a mapping.
        return {}
    inner = FieldReader(node, path=reader.path_of("quantities"), mistakes=reader.mistakes)
    found = {
        key: inner.required(key, integer(low=0, high=QUANTITY_MAX)) for key in sorted(node.entries)
    }
    return {key: Decimal(value) for key, value in found.items() if value is not None}


def read_overrides(reader: FieldReader) -> dict[str, dict[str, object]]:
    """Reads `overrides`: by price, the fields that differ, such as {base: {amount: "10"}}.

    None of them where one is wrong, which is noted.
    """
    count_before = reader.mistakes.count
    prices, node = reader.child("overrides"), reader.node_of("overrides")
    names = node.entries if isinstance(node, MapNode) else ()
    found = {name: _changed(present(prices), name) for name in names}
    return found if reader.mistakes.count == count_before else {}


def _changed(prices: FieldReader, key: str) -> dict[str, object]:
    fields, node = prices.required_child(key), prices.node_of(key)
    names = node.entries if isinstance(node, MapNode) else ()
    if isinstance(node, MapNode) and not names:
        problem = 'the fields that differ belong here, such as {amount: "10"}'
        prices.note(key, reason="FIELD_MALFORMED", problem=problem)
    return {
        name: None if fields.node_of(name) is None else fields.maybe(name, plain_from_node)
        for name in names
    }
