"""Scenario files: what `simulate` plays, read with every mistake found at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.catalog.read import read_customer, read_subscription_entry
from billing_server.domain.catalog.read_period import billing_instant
from billing_server.domain.document import MapNode, Node, Scalar, ScalarKind, load_json, load_yaml
from billing_server.domain.fields import (
    NOT_SUPPORTED,
    FieldMistake,
    FieldReader,
    Mistakes,
    currency,
    not_a_choice,
    text,
    timezone,
)
from billing_server.services.context import GRACE_DEFAULT, PAYMENT_TERMS_DEFAULT
from billing_server.services.scenario_corrections import READERS
from billing_server.services.scenario_file import ReadFile, UsageFile, read_usage_file
from billing_server.services.scenario_read_usage import read_usage, read_usage_rows
from billing_server.services.scenario_steps import (
    Action,
    ApplyStep,
    CreateCustomerStep,
    SubscribeStep,
    TermsStep,
    TimelineStep,
    UsageRowsStep,
    UsageStep,
)
from billing_server.services.scenario_terms import TERMS_VERBS, read_terms_step
from metering.clock import parse_duration
from metering.errors import ValidationError

__all__ = [
    "Action",
    "ApplyStep",
    "CreateCustomerStep",
    "Scenario",
    "SubscribeStep",
    "TermsStep",
    "TimelineStep",
    "UsageRowsStep",
    "UsageStep",
    "parse_scenario",
]

SCENARIO_INVALID: Final = "SCENARIO_INVALID"
LATER_VERBS: Final = frozenset(
    {
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


def no_files(path: str) -> bytes:
    """Refuse files: where a scenario comes from an API or a test, there are none.

    Raises:
        ValidationError: FILE_UNREADABLE.
    """
    raise ValidationError(
        reason="FILE_UNREADABLE", message=f"{path}: files cannot be read here; list the usage"
    )


def parse_scenario(
    content: str, *, name: str, read_file: ReadFile = no_files, usage_files: Sequence[str] = ()
) -> Scenario:
    """Read a scenario (YAML or JSON).

    Args:
        content: the text.
        name: of the file, for messages.
        read_file: returns the bytes of a file that the scenario names.
        usage_files: further files of usage, heard from the scenario's start on.

    Raises:
        ValidationError: SCENARIO_INVALID, one violation a mistake, naming line and field;
            USAGE_FILE_INVALID or TRACE_MALFORMED, of a file of usage.
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
                node,
                path=path,
                mistakes=reader.mistakes,
                defaults=defaults,
                number=number,
                read_file=read_file,
            )
        )
        is not None
    ]
    until = reader.maybe("until", billing_instant)
    reader.finish()
    if not steps and reader.mistakes.count == 0:
        reader.note("timeline", reason="TIMELINE_EMPTY", problem="the timeline has no entry")
    reader.mistakes.raise_if_any(reason=SCENARIO_INVALID)
    steps += _usage_steps(usage_files, steps=steps, read_file=read_file)
    steps.sort(key=lambda step: step.at)
    ends = [_end_of(step) for step in steps]
    return Scenario(
        name=name,
        start=steps[0].at,
        until=max(until or max(ends), steps[-1].at),
        catalog=catalog,
        grace=grace,
        payment_terms=payment_terms,
        steps=tuple(steps),
    )


def _usage_steps(
    paths: Sequence[str], *, steps: Sequence[TimelineStep], read_file: ReadFile
) -> list[TimelineStep]:
    """Return the entries of further files of usage; a scenario's only customer is theirs."""
    start = min(step.at for step in steps)
    customers = [
        step.action.customer.id for step in steps if isinstance(step.action, CreateCustomerStep)
    ]
    found = []
    for number, path in enumerate(paths, start=len(steps)):
        file = UsageFile(
            name=path,
            start=start,
            customer_id=customers[0] if len(customers) == 1 else None,
            event_id=f"usage-{number}",
            dimensions={},
        )
        rows = UsageRowsStep(read_usage_file(read_file(path), file=file))
        found.append(TimelineStep(start, rows, number))
    return found


def _end_of(step: TimelineStep) -> datetime:
    last = step.action.last_time if isinstance(step.action, UsageRowsStep) else None
    return max(step.at, last or step.at)


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
    node: Node,
    *,
    path: str,
    mistakes: Mistakes,
    defaults: _Defaults,
    number: int,
    read_file: ReadFile,
) -> TimelineStep | None:
    reader = FieldReader(node, path=path, mistakes=mistakes)
    at = reader.required("at", billing_instant)
    verb = reader.required("do", text)
    action: Action | None = None
    match verb:
        case None:
            reader.note_misspelt("at", "do")
            return None
        case "create_customer":
            action = _read_customer(reader, node=node, defaults=defaults)
        case "subscribe":
            action = _read_subscription(reader, node=node, number=number)
        case "usage" if reader.has("from_csv"):
            action = read_usage_rows(reader, at=at, number=number, read_file=read_file)
        case "usage":
            action = read_usage(reader, node=node, number=number)
        case "apply":
            action = _read_catalog(reader)
            if action is None:
                reader.note("catalog", reason="FIELD_MISSING", problem="the field is missing")
            reader.finish()
        case _ if verb in TERMS_VERBS:
            action = read_terms_step(reader, verb=verb)
        case _ if verb in READERS:
            action = READERS[verb](reader, node)
        case _:
            _note_verb(reader, verb=verb)
            return None
    return None if at is None or action is None else TimelineStep(at, action, number)


def _note_verb(reader: FieldReader, *, verb: str) -> None:
    if verb in LATER_VERBS:
        problem = f"{verb!r} is not supported by this version"
        reader.note("do", reason=NOT_SUPPORTED, problem=problem)
    else:
        known = ["create_customer", "subscribe", "usage", "apply", *TERMS_VERBS, *READERS]
        mistake = not_a_choice(verb, known=known, later={}, reason="VERB_UNKNOWN")
        reader.note("do", reason=mistake.reason, problem=mistake.problem)


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
        reader.note_misspelt(id_field)
        return None
    return FieldReader(MapNode(entries, node.line), path=reader.path, mistakes=reader.mistakes)
