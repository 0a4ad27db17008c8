"""Applying catalog files: the whole of them or nothing, and nothing a second time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from billing_server.domain.catalog.diff import CatalogChanges, Change, ChangeKind, plan_changes
from billing_server.domain.catalog.model import (
    Addon,
    CatalogFile,
    Meter,
    Plan,
    SubscriptionEntry,
)
from billing_server.domain.catalog.parse import parse_catalog_nodes
from billing_server.domain.document import ListNode, MapNode, Node, Scalar, load_yaml
from billing_server.domain.ports.limits import EVERY_CUSTOMER
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.services.context import ServiceContext
from billing_server.services.count_history import count_history, keep_events, money_read_by
from billing_server.services.create_customer import put_customer
from billing_server.services.create_subscription import put_subscription
from billing_server.services.follow_entry import follow_entry
from billing_server.services.move_versions import describe_moves, move_subscriptions
from billing_server.services.run_due_work import invoice_starts
from billing_server.services.unpriced_alerts import close_alerts_promptly
from billing_server.services.watch_quarantine import redrive_promptly
from metering.clock import floor_to_minute

REDRIVE_CUSTOMERS_MAX = 20
"""Up to so many new customers are looked for one by one in the quarantine, more all at once."""


class ApplyMode(Enum):
    """Whether changes are made, or only told."""

    APPLY = "apply"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class CatalogSource:
    """A catalog file as it was handed in."""

    name: str
    """Name of the file, for messages."""
    text: str
    """Its text, YAML."""


@dataclass(frozen=True, slots=True)
class CatalogSection:
    """A catalog that is part of another document, such as a scenario."""

    name: str
    """Name of the document, for messages."""
    node: Node
    """The located values of the catalog."""
    path: str
    """Field of the document that holds it."""


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """One change that applying a catalog makes."""

    action: str
    """`create`, `update` or `new_version`."""
    kind: str
    """`meter`, `plan`, `addon`, `customer` or `subscription`."""
    key: str
    """Key or id of the thing."""
    description: str
    """For people: the change, and below it each field that differs."""


@dataclass(frozen=True, slots=True)
class AppliedCatalog:
    """What applying a catalog comes to."""

    changes: tuple[AppliedChange, ...]
    """What was changed or, on a dry run, would be; empty where all is there already."""
    unchanged: tuple[tuple[str, str], ...]
    """Kind and key of what is applied already."""


def apply_catalog(
    context: ServiceContext,
    *,
    sources: Sequence[CatalogSource | CatalogSection],
    mode: ApplyMode = ApplyMode.APPLY,
) -> AppliedCatalog:
    """Make meters, plans, add-ons, customers and subscriptions equal to catalog files.

    All of it is one transaction.

    Returns:
        What was done or, on a dry run, would be.

    Raises:
        ValidationError: CATALOG_INVALID or CATALOG_CHANGE_REFUSED, one violation a mistake; nothing
            is changed then.
    """
    nodes = [_node_of(source) for source in sources]
    path = next((each.path for each in sources if isinstance(each, CatalogSection)), "")
    if mode is ApplyMode.DRY_RUN:
        with context.store.read() as unit:
            planned = _changes(unit, context=context, nodes=nodes, path=path)
        return _shown(planned)
    with context.store.write() as unit:
        unit.catalog.lock()
        planned = _changes(unit, context=context, nodes=nodes, path=path)
        if planned.changes:
            unit.catalog.advance_revision()
        for change in planned.changes:
            _carry_out(unit, context=context, change=change)
        unit.leases.announce(_with_other_limits(planned.changes))
    _follow_up(context, changes=planned.changes)
    return _shown(planned)


def _node_of(source: CatalogSource | CatalogSection) -> tuple[str, Node]:
    if isinstance(source, CatalogSection):
        return source.name, source.node
    return source.name, load_yaml(source.text, name=source.name)


def _changes(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    nodes: Sequence[tuple[str, Node]],
    path: str,
) -> CatalogChanges:
    known = _known(unit, context=context, nodes=nodes)
    wanted = parse_catalog_nodes(nodes, known=known, path=path)
    wanted = replace(wanted, subscriptions=tuple(_floored(entry) for entry in wanted.subscriptions))
    used = unit.catalog.meters_with_usage([meter.key for meter in wanted.meters])
    planned = plan_changes(known, wanted=wanted, meters_with_usage=used)
    planned.raise_if_refused()
    changes = tuple(_with_moves(unit, context=context, change=each) for each in planned.changes)
    return replace(planned, changes=changes)


def _with_moves(unit: UnitOfWork, *, context: ServiceContext, change: Change) -> Change:
    """Add to a new plan version what it means for the subscriptions of its plan."""
    if change.kind is not ChangeKind.NEW_VERSION or not isinstance(change.value, Plan):
        return change
    moves = describe_moves(unit, context=context, plan=change.value)
    return replace(change, details=(*change.details, *moves))


def _known(
    unit: UnitOfWork, *, context: ServiceContext, nodes: Sequence[tuple[str, Node]]
) -> CatalogFile:
    """Read what the files may refer to or change: never every customer there is."""
    subscriptions = [
        known
        for subscription_id in _texts(nodes, section="subscriptions", field="id")
        if (known := unit.subscriptions.get(subscription_id)) is not None
    ]
    named = {
        *_texts(nodes, section="customers", field="id"),
        *_texts(nodes, section="subscriptions", field="customer"),
    }
    customers = [
        customer
        for customer_id in sorted(named)
        if (customer := unit.customers.get(customer_id)) is not None
    ]
    # A customer whose periods run may not move to another zone: the first of its subscriptions is
    # enough to know.
    others = [
        found
        for customer in customers
        for found in unit.subscriptions.of_customer(customer.id)[:1]
        if found.id not in {each.id for each in subscriptions}
    ]
    return CatalogFile(
        meters=unit.catalog.meters(),
        plans=unit.catalog.latest_plans(),
        addons=unit.catalog.latest_addons(),
        customers=tuple(customers),
        subscriptions=tuple(
            entry_of(each, at=context.clock.now()) for each in [*subscriptions, *others]
        ),
    )


def _texts(nodes: Sequence[tuple[str, Node]], *, section: str, field: str) -> Iterator[str]:
    """Walk one field of every item of a section, before anything is checked."""
    for _, node in nodes:
        items = node.entries.get(section) if isinstance(node, MapNode) else None
        for item in items.items if isinstance(items, ListNode) else ():
            value = item.entries.get(field) if isinstance(item, MapNode) else None
            if isinstance(value, Scalar):
                yield value.text


def _floored(entry: SubscriptionEntry) -> SubscriptionEntry:
    return replace(
        entry,
        start=None if entry.start is None else floor_to_minute(entry.start),
        anchor=None if entry.anchor is None else floor_to_minute(entry.anchor),
    )


def entry_of(subscription: Subscription, *, at: datetime) -> SubscriptionEntry:
    """Return a subscription in the form of a catalog file, as it is at an instant."""
    at = max(at, subscription.start)
    return SubscriptionEntry(
        id=subscription.id,
        customer_id=subscription.customer_id,
        plan_key=subscription.plan_key,
        start=subscription.start,
        anchor=subscription.anchor,
        quantities=subscription.quantities,
        overrides=subscription.overrides_at(at),
        addons=tuple(addon.key for addon in subscription.addons_at(at)),
    )


def _carry_out(unit: UnitOfWork, *, context: ServiceContext, change: Change) -> None:
    now = context.clock.now()
    match change.value:
        case Meter() as meter:
            unit.catalog.put_meter(meter, update_time=now)
            if change.kind is ChangeKind.CREATE:
                count_history(unit, meter=meter)
        case Plan() as plan:
            unit.catalog.add_plan_version(
                replace(plan, effective_from=plan.effective_from or now), create_time=now
            )
            keep_events(unit, plan=plan)
            if change.kind is ChangeKind.NEW_VERSION:
                move_subscriptions(unit, context=context, plan=plan)
        case Addon() as addon:
            unit.catalog.add_addon_version(addon, create_time=now)
        case Customer() as customer:
            put_customer(unit, context=context, customer=customer)
        case SubscriptionEntry() as entry if change.kind is ChangeKind.UPDATE:
            follow_entry(unit, context=context, entry=entry)
        case SubscriptionEntry() as entry:
            put_subscription(unit, context=context, entry=entry)


def _with_other_limits(changes: Sequence[Change]) -> set[str]:
    """Return whose limits may have changed, for agents that wait to hear of it."""
    named = {change.key for change in changes if change.resource == "customer"}
    named |= {
        change.value.customer_id
        for change in changes
        if isinstance(change.value, SubscriptionEntry)
    }
    is_for_all = any(change.resource in ("meter", "plan") for change in changes)
    return {EVERY_CUSTOMER} if is_for_all else named


def _follow_up(context: ServiceContext, *, changes: Sequence[Change]) -> None:
    """Count what waited for the new meters and customers, and invoice the new starts."""
    resources = {change.resource for change in changes}
    customer_ids = [change.key for change in changes if change.resource == "customer"]
    if "meter" in resources or _reads_money(changes) or len(customer_ids) > REDRIVE_CUSTOMERS_MAX:
        redrive_promptly(context.store)
    else:
        for customer_id in customer_ids:
            redrive_promptly(context.store, customer_id=customer_id)
    started = [
        change.key
        for change in changes
        if change.resource == "subscription" and change.kind is ChangeKind.CREATE
    ]
    if started:
        invoice_starts(context, subscription_ids=started)
    if resources & {"plan", "subscription"}:
        close_alerts_promptly(context)


def _reads_money(changes: Sequence[Change]) -> bool:
    """Tell whether events may have waited for a quantity that a price reads as money."""
    plans = [change.value for change in changes if isinstance(change.value, Plan)]
    return any(any(money_read_by(plan).values()) for plan in plans)


def _shown(planned: CatalogChanges) -> AppliedCatalog:
    changes = tuple(
        AppliedChange(
            action=str(change.kind),
            kind=change.resource,
            key=change.key,
            description="\n".join((_title(change), *(f"    {each}" for each in change.details))),
        )
        for change in planned.changes
    )
    return AppliedCatalog(changes, planned.unchanged)


def _title(change: Change) -> str:
    if change.kind is ChangeKind.CREATE:
        return f"create {change.resource} {change.key}"
    return change.summary
