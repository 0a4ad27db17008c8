"""Scenario files: what `simulate` plays, read with every mistake found at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.catalog.model import SubscriptionEntry
from billing_server.domain.catalog.read import read_customer, read_subscription_entry
from billing_server.domain.catalog.read_period import billing_instant
from billing_server.domain.document import MapNode, Node, Scalar, ScalarKind, load_json, load_yaml
from billing_server.domain.fields import (
    NOT_SUPPORTED,
    FieldMistake,
    FieldReader,
    Mistakes,
    currency,
    identifier,
    instant,
    quantity,
    text,
    timezone,
)
from billing_server.domain.subscription.model import Customer
from billing_server.services.context import GRACE_DEFAULT, PAYMENT_TERMS_DEFAULT
from billing_server.services.scenario_terms import TERMS_VERBS, TermsStep, read_terms_step
from metering.clock import parse_duration
from metering.errors import ValidationError
from metering.quantity import plain_decimal

SCENARIO_INVALID: Final = "SCENARIO_INVALID"
USAGE_EVENTS_MAX: Final = 100_000
"""Events that one `usage` entry may stand for."""
LATER_VERBS: Final = frozenset(
    {
        "adjust_usage",
        "amend_usage",
        "apply_coupon",
        "cancel",
        "change_plan",
        "change_quantity",
        "credit_note",
        "grant_credit",
        "manual_invoice",
        "pause",
        "pay",
        "payment_outcome",
        "refund",
        "resume",
        "undo_pending",
        "update_customer",
        "void_invoice",
        "void_usage",
    }
)
_LATER_SETTINGS: Final = {"dunning": "collecting payments"}
_ONLY_SETTINGS: Final = {
    "late_usage": "next_invoice",
    "auto_collect": "no",
    "coupon_order": "as_applied",
}
"""Settings of which this version knows one value."""


@dataclass(frozen=True, slots=True)
class CreateCustomerStep:
    """The server hears of a customer."""

    customer: Customer
    """Who."""


@dataclass(frozen=True, slots=True)
class SubscribeStep:
    """The server hears of a subscription."""

    entry: SubscriptionEntry
    """Which."""


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """A catalog is applied."""

    node: Node
    """The catalog."""
    path: str
    """Where it stands in the scenario."""


@dataclass(frozen=True, slots=True)
class UsageStep:
    """The server hears of usage."""

    customer_id: str
    """Whose."""
    event_id: str
    """Id of the event; the repeats get `-1`, `-2`, … behind it."""
    quantities: Mapping[str, str]
    """Name to decimal string."""
    dimensions: Mapping[str, str]
    """Name to value."""
    event_time: datetime | None
    """When it was used; None: when the server hears of it."""
    every: timedelta | None
    """Distance of the repeats; None: once."""
    until: datetime | None
    """The repeats end before this instant."""


Action = CreateCustomerStep | SubscribeStep | ApplyStep | UsageStep | TermsStep
"""What an entry of the timeline does."""


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One entry of the timeline."""

    at: datetime
    """When the server hears of it, UTC."""
    action: Action
    """What it hears."""
    number: int
    """Position in the file, from 0."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, ready to be played."""

    name: str
    """Name of the file, for messages."""
    start: datetime
    """Where the clock begins."""
    until: datetime
    """Where it ends."""
    catalog: ApplyStep | None
    """Applied at the start."""
    grace: timedelta = GRACE_DEFAULT
    """How long an ended period waits for late usage."""
    payment_terms: timedelta = PAYMENT_TERMS_DEFAULT
    """How long after its issue an invoice is due."""
    steps: tuple[TimelineStep, ...] = field(default=())
    """In order of time; at the same time in the order of the file."""


def parse_scenario(content: str, *, name: str) -> Scenario:
    """Read a scenario (YAML or JSON).

    Raises:
        ValidationError: SCENARIO_INVALID, one violation a mistake, naming line and field.
    """
    reader = FieldReader(_load(content, name=name), path="", mistakes=Mistakes(name))
    defaults = _Defaults(
        currency=reader.maybe("currency", currency),
        timezone=reader.optional("timezone", timezone, default="UTC"),
    )
    grace, payment_terms = _read_settings(reader)
    catalog = _read_catalog(reader)
    steps = [
        step
        for number, (path, node) in enumerate(reader.items("timeline"))
        if (
            step := _read_step(
                node, path=path, mistakes=reader.mistakes, defaults=defaults, number=number
            )
        )
        is not None
    ]
    until = reader.maybe("until", billing_instant)
    reader.finish()
    if not steps and reader.mistakes.count == 0:
        reader.note("timeline", reason="TIMELINE_EMPTY", problem="the timeline has no entry")
    reader.mistakes.raise_if_any(reason=SCENARIO_INVALID)
    steps.sort(key=lambda step: step.at)
    return Scenario(
        name=name,
        start=steps[0].at,
        until=max(until or steps[-1].at, steps[-1].at),
        catalog=catalog,
        grace=grace,
        payment_terms=payment_terms,
        steps=tuple(steps),
    )


def _load(content: str, *, name: str) -> Node:
    if not content.lstrip().startswith("{"):
        return load_yaml(content, name=name)
    try:
        return load_json(content, name=name)
    except ValidationError:
        return load_yaml(content, name=name)  # YAML may begin with a brace as well.


@dataclass(frozen=True, slots=True)
class _Defaults:
    currency: str | None
    timezone: str


def _read_settings(reader: FieldReader) -> tuple[timedelta, timedelta]:
    settings = reader.child("settings")
    if settings is None:
        return GRACE_DEFAULT, PAYMENT_TERMS_DEFAULT
    grace = settings.optional("grace", _duration, default=GRACE_DEFAULT)
    payment_terms = settings.optional("payment_terms", _duration, default=PAYMENT_TERMS_DEFAULT)
    for key, only in _ONLY_SETTINGS.items():
        if settings.has(key) and _word(settings, key) != only:
            problem = f"this version knows {only!r} only; leave the field out"
            settings.note(key, reason=NOT_SUPPORTED, problem=problem)
    settings.finish(later=_LATER_SETTINGS)
    return grace, payment_terms


def _word(reader: FieldReader, key: str) -> str | None:
    def parse(node: Node) -> str:
        if not isinstance(node, Scalar):
            raise FieldMistake("FIELD_MALFORMED", "a single word belongs here")
        if node.kind is ScalarKind.BOOLEAN:
            return "yes" if node.text.lower() in {"true", "yes", "on"} else "no"
        return node.text

    return reader.maybe(key, parse)


def _duration(node: Node) -> timedelta:
    return parse_duration(text(node))


def _read_catalog(reader: FieldReader) -> ApplyStep | None:
    node = reader.maybe("catalog", _map_node)
    return None if node is None else ApplyStep(node=node, path=reader.path_of("catalog"))


def _map_node(node: Node) -> Node:
    if not isinstance(node, MapNode):
        raise FieldMistake("FIELD_MALFORMED", "a catalog with meters and plans belongs here")
    return node


def _read_step(
    node: Node, *, path: str, mistakes: Mistakes, defaults: _Defaults, number: int
) -> TimelineStep | None:
    reader = FieldReader(node, path=path, mistakes=mistakes)
    at = reader.required("at", billing_instant)
    verb = reader.required("do", text)
    action: Action | None = None
    match verb:
        case None:
            return None
        case "create_customer":
            action = _read_customer(reader, node=node, defaults=defaults)
        case "subscribe":
            action = _read_subscription(reader, node=node, number=number)
        case "usage":
            action = _read_usage(reader, node=node, number=number)
        case "apply":
            action = _read_catalog(reader)
            if action is None:
                reader.note("catalog", reason="FIELD_MISSING", problem="the field is missing")
            reader.finish()
        case _ if verb in TERMS_VERBS:
            action = read_terms_step(reader, verb=verb)
        case _:
            _note_verb(reader, verb=verb)
            return None
    return None if at is None or action is None else TimelineStep(at, action, number)


def _note_verb(reader: FieldReader, *, verb: str) -> None:
    if verb in LATER_VERBS:
        problem = f"{verb!r} is not supported by this version"
        reader.note("do", reason=NOT_SUPPORTED, problem=problem)
    else:
        known = ("create_customer", "subscribe", "usage", "apply", *TERMS_VERBS)
        problem = f"{verb!r} is not known; use one of: {', '.join(known)}"
        reader.note("do", reason="VERB_UNKNOWN", problem=problem)


def _read_customer(
    reader: FieldReader, *, node: Node, defaults: _Defaults
) -> CreateCustomerStep | None:
    inner = _as_catalog_entry(reader, node=node, id_field="customer")
    customer = None if inner is None else read_customer(inner)
    if customer is None:
        return None
    return CreateCustomerStep(
        replace(
            customer,
            currency=customer.currency or defaults.currency,
            timezone=customer.timezone if reader.has("timezone") else defaults.timezone,
        )
    )


def _read_subscription(reader: FieldReader, *, node: Node, number: int) -> SubscribeStep | None:
    inner = _as_catalog_entry(reader, node=node, id_field="subscription", number=number)
    entry = None if inner is None else read_subscription_entry(inner)
    return None if entry is None else SubscribeStep(entry)


def _as_catalog_entry(
    reader: FieldReader, *, node: Node, id_field: str, number: int | None = None
) -> FieldReader | None:
    """Return a reader of the same fields as they stand in a catalog file, where `id` names it."""
    if not isinstance(node, MapNode):
        return None
    entries = {key: value for key, value in node.entries.items() if key not in {"at", "do"}}
    if id_field in entries:
        entries["id"] = entries.pop(id_field)
    elif number is not None:
        entries["id"] = Scalar(ScalarKind.TEXT, f"subscription-{number}", node.line)
    else:
        reader.note(id_field, reason="FIELD_MISSING", problem="the field is missing")
        return None
    return FieldReader(MapNode(entries, node.line), path=reader.path, mistakes=reader.mistakes)


def _read_usage(reader: FieldReader, *, node: Node, number: int) -> UsageStep | None:
    customer_id = reader.required("customer", identifier)
    inner = reader.required_child("quantities")
    quantities = {
        name: plain_decimal(value)
        for name in _names_in(node, "quantities")
        if (value := inner.required(name, quantity)) is not None
    }
    step = UsageStep(
        customer_id=customer_id or "",
        event_id=reader.optional("event_id", identifier, default=f"timeline-{number}"),
        quantities=quantities,
        dimensions=reader.text_map("dimensions"),
        event_time=reader.maybe("event_time", instant),
        every=reader.maybe("every", _distance),
        until=reader.maybe("until", instant),
    )
    at = reader.maybe("at", instant)
    if (step.every is None) != (step.until is None):
        problem = "every and until belong together: give both or neither"
        reader.note("every", reason="REPEAT_INCOMPLETE", problem=problem)
    elif (
        step.every is not None
        and step.until is not None
        and at is not None
        and (step.until - at) // step.every > USAGE_EVENTS_MAX
    ):
        problem = f"this is more than {USAGE_EVENTS_MAX} events; use a longer distance"
        reader.note("every", reason="REPEAT_TOO_OFTEN", problem=problem)
    reader.finish()
    return None if customer_id is None else step


def _names_in(node: Node, key: str) -> list[str]:
    inner = node.entries.get(key) if isinstance(node, MapNode) else None
    return list(inner.entries) if isinstance(inner, MapNode) else []


def _distance(node: Node) -> timedelta:
    distance = parse_duration(text(node))
    if distance <= timedelta(0):
        raise FieldMistake("REPEAT_TOO_OFTEN", "the distance has to be longer than nothing")
    return distance
