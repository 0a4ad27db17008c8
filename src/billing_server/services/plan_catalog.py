"""What applying catalog files would change, from what is applied already: computed, not done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing_server.domain.catalog.diff import CatalogChanges, Change, ChangeKind, plan_changes
from billing_server.domain.catalog.model import CatalogFile, Plan, SubscriptionEntry
from billing_server.domain.catalog.parse import parse_catalog_nodes
from billing_server.domain.catalog.places import CatalogPlaces
from billing_server.domain.document import Node, load_yaml
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Subscription
from billing_server.services.context import ServiceContext
from billing_server.services.create_subscription import distance_refusal
from billing_server.services.move_versions import describe_moves
from metering.clock import floor_to_minute


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
class WantedCatalog:
    """The catalogs as they were handed in, with where their items stand."""

    nodes: Sequence[tuple[str, Node]]
    """Name of the document and located values of each."""
    path: str
    """Field of the document that holds the catalog; empty: the whole document is one."""
    places: CatalogPlaces
    """Where the items stand."""

    @classmethod
    def of(cls, sources: Sequence[CatalogSource | CatalogSection]) -> "WantedCatalog":
        """Return the catalogs of files and sections as one.

        Raises:
            ValidationError: DOCUMENT_MALFORMED and the like: a text is no YAML.
        """
        nodes = [_node_of(source) for source in sources]
        path = next((each.path for each in sources if isinstance(each, CatalogSection)), "")
        return cls(nodes, path, CatalogPlaces(nodes, path=path))


def plan_catalog(
    unit: UnitOfWork, *, context: ServiceContext, wanted: WantedCatalog
) -> CatalogChanges:
    """Return what applying a catalog would change; changes nothing.

    Raises:
        ValidationError: CATALOG_INVALID or CATALOG_CHANGE_REFUSED, one violation a mistake.
    """
    known = _known(unit, context=context, places=wanted.places)
    file = parse_catalog_nodes(wanted.nodes, known=known, path=wanted.path)
    file = replace(file, subscriptions=tuple(_floored(entry) for entry in file.subscriptions))
    used = unit.catalog.meters_with_usage([meter.key for meter in file.meters])
    planned = plan_changes(known, wanted=file, meters_with_usage=used)
    now = context.clock.now()
    too_far = [
        refusal
        for change in planned.changes
        if change.kind is ChangeKind.CREATE and isinstance(change.value, SubscriptionEntry)
        if (refusal := distance_refusal(change.value, now=now)) is not None
    ]
    wanted.places.raise_refused([*planned.refusals, *too_far])
    changes = tuple(_with_moves(unit, context=context, change=each) for each in planned.changes)
    return replace(planned, changes=changes)


def _with_moves(unit: UnitOfWork, *, context: ServiceContext, change: Change) -> Change:
    """Add to a new plan version what it means for the subscriptions of its plan."""
    if change.kind is not ChangeKind.NEW_VERSION or not isinstance(change.value, Plan):
        return change
    moves = describe_moves(unit, context=context, plan=change.value)
    return replace(change, details=(*change.details, *moves))


def _known(unit: UnitOfWork, *, context: ServiceContext, places: CatalogPlaces) -> CatalogFile:
    """Read what the files may refer to or change: never every customer there is."""
    subscriptions = [
        known
        for subscription_id in places.names("subscriptions")
        if (known := unit.subscriptions.get(subscription_id)) is not None
    ]
    named = {*places.names("customers"), *places.names("subscriptions", field="customer")}
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
        tax_rates=unit.catalog.tax_rates(),
        customers=tuple(customers),
        subscriptions=tuple(
            _entry_of(each, at=context.clock.now()) for each in [*subscriptions, *others]
        ),
    )


def _floored(entry: SubscriptionEntry) -> SubscriptionEntry:
    return replace(
        entry,
        start=None if entry.start is None else floor_to_minute(entry.start),
        anchor=None if entry.anchor is None else floor_to_minute(entry.anchor),
    )


def _entry_of(subscription: Subscription, *, at: datetime) -> SubscriptionEntry:
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


def _node_of(source: CatalogSource | CatalogSection) -> tuple[str, Node]:
    if isinstance(source, CatalogSection):
        return source.name, source.node
    return source.name, load_yaml(source.text, name=source.name)
