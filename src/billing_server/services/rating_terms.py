"""What a customer's usage is charged by, compiled for the hot path and kept between batches.

Which price charges a series at an instant is the domain's answer (`CustomerAssigner`), the same for
ingest, a rebuild and an invoice. This module keeps the answers as long as they hold: a compiled
customer is valid for one revision of the catalog and one revision of the customer.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.usage.meter_index import MeterIndex
from billing_server.services.charge_slot import ChargeSlot, charge_keys, charge_slot
from billing_server.services.customer_terms import load_timeline
from billing_server.services.limit_book import LimitBook, LimitSources
from billing_server.services.meter_uses import MeterUses, load_meter_uses
from billing_server.services.not_found import customer_not_found
from billing_server.services.series_route import SeriesRoute
from metering.errors import ConflictError, UnavailableError

CUSTOMERS_CACHED_MAX: Final = 20_000
"""Compiled customers that are kept; some 10 KiB each."""
SERIES_CACHED_MAX: Final = 10_000
"""Series of one customer that are kept compiled."""
SLOTS_CACHED_MAX: Final = 10_000
"""Running charges of one customer that are kept compiled; groups may be many."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class CatalogTerms:
    """The meters at one revision of the catalog. Immutable but for what is read when needed."""

    revision: int
    """Which revision."""
    index: MeterIndex
    """Which meters an event feeds."""
    kept_by_event: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Meters that keep what each event brought, with the quantities that are money there."""
    _uses: MeterUses | None = None

    def uses(self, unit: UnitOfWork) -> MeterUses:
        """Returns what meters are read for: read once, where usage is found that has no price."""
        if self._uses is None:
            self._uses = load_meter_uses(unit)
        return self._uses


@dataclass(slots=True, eq=False)
class CompiledCustomer:
    """One customer's subscriptions and series, compiled. Used under the customer's lock."""

    customer_id: str
    """Whose."""
    revision: int
    """Revision of the customer that was compiled."""
    catalog: CatalogTerms
    """The meters, with the revision of the catalog."""
    assigner: CustomerAssigner
    """Which subscription charges which usage."""
    failed: dict[str, str]
    """Subscriptions that cannot be rated, with the reason; their usage is counted all the same."""
    newly_failed: dict[str, str]
    """Those of them that the store does not know of yet."""
    limits: LimitSources
    """What the customer's limits come from."""
    _routes: dict[tuple[str, str], SeriesRoute] = field(default_factory=dict)
    _slots: dict[ChargeKey, ChargeSlot] = field(default_factory=dict)

    def route(
        self, meter: Meter, *, dimensions: Mapping[str, str], dimensions_json: str
    ) -> SeriesRoute:
        """Returns the compiled series of a meter with these dimensions."""
        key = (meter.key, dimensions_json)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= SERIES_CACHED_MAX:
                self._routes.clear()
            route = SeriesRoute(
                self,
                meter=meter,
                assigner=self.assigner.series(meter.key, dimensions=dimensions),
                dimensions=dimensions,
                dimensions_json=dimensions_json,
                money_quantities=self.catalog.kept_by_event.get(meter.key),
            )
            self._routes[key] = route
        return route

    def slots(
        self, assignment: Assignment, *, meter: Meter, dimensions: Mapping[str, str]
    ) -> tuple[ChargeSlot, ...]:
        """Returns the running charges that usage with this assignment feeds.

        None where it is unpriced or unratable, nor for a level, whose charge grows by itself and
        is folded when it is looked at.
        """
        timeline = assignment.timeline
        if timeline is None or meter.aggregation is Aggregation.TIME_WEIGHTED:
            return ()
        if timeline.subscription.id in self.failed:
            return ()
        keys = charge_keys(assignment, customer_id=self.customer_id, dimensions=dimensions)
        try:
            return tuple(self._slot(key, assignment=assignment, meter=meter) for key in keys)
        except Exception as error:  # noqa: BLE001 - a rating error never undoes counting
            self.fail(timeline.subscription.id, error)
            return ()

    def _slot(self, key: ChargeKey, *, assignment: Assignment, meter: Meter) -> ChargeSlot:
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= SLOTS_CACHED_MAX:
                self._slots.clear()
            slot = charge_slot(key, assignment=assignment, meter=meter, assigner=self.assigner)
            self._slots[key] = slot
        return slot

    def fail(self, subscription_id: str, error: Exception) -> None:
        """Notes that a subscription cannot be rated."""
        log.error("rating_failed", subscription_id=subscription_id, exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        self.failed[subscription_id] = reason
        self.newly_failed[subscription_id] = reason


def load_catalog_terms(unit: UnitOfWork, *, revision: int) -> CatalogTerms:
    """Returns the meters as they are now, compiled."""
    kept = unit.catalog.kept_by_event()
    money = frozenset[str]().union(*kept.values())
    index = MeterIndex(unit.catalog.meters(), money_quantities=money)
    return CatalogTerms(revision=revision, index=index, kept_by_event=kept)


class TermsCache:
    """Compiled customers, bounded. Safe to share: a customer is used under its lock."""

    def __init__(self, *, customers_max: int = CUSTOMERS_CACHED_MAX) -> None:
        self._customers_max = customers_max
        self._customers: dict[str, CompiledCustomer] = {}
        self._catalog: CatalogTerms | None = None
        self._eviction = threading.Lock()
        self._limits = LimitBook()

    def catalog(self, unit: UnitOfWork) -> CatalogTerms:
        """Returns the meters at the revision that the unit holds shared."""
        revision = unit.usage.share_catalog()
        catalog = self._catalog
        if catalog is None or catalog.revision != revision:
            catalog = load_catalog_terms(unit, revision=revision)
            self._catalog = catalog
        return catalog

    def customers(
        self, unit: UnitOfWork, *, catalog: CatalogTerms, revisions: Mapping[str, int]
    ) -> dict[str, CompiledCustomer]:
        """Returns the compiled terms of customers that the unit holds locked.

        Args:
            unit: the transaction.
            catalog: the meters in force.
            revisions: customer id to revision, as locking answered.
        """
        cached = self._customers
        found: dict[str, CompiledCustomer] = {}
        for customer_id, revision in revisions.items():
            customer = cached.get(customer_id)
            if customer is None or customer.revision != revision or customer.catalog is not catalog:
                customer = _compiled(
                    unit,
                    customer_id=customer_id,
                    revision=revision,
                    catalog=catalog,
                    limits=self._limits,
                )
                cached[customer_id] = customer
            found[customer_id] = customer
        if len(cached) > self._customers_max:
            self._evict()
        return found

    def _evict(self) -> None:
        """Throws away the older half."""
        with self._eviction:
            surplus = len(self._customers) - self._customers_max // 2
            for customer_id in list(self._customers)[: max(surplus, 0)]:
                self._customers.pop(customer_id, None)


def _compiled(
    unit: UnitOfWork,
    *,
    customer_id: str,
    revision: int,
    catalog: CatalogTerms,
    limits: LimitBook,
) -> CompiledCustomer:
    failed = unit.usage.rating_failed(customer_id)
    newly_failed: dict[str, str] = {}
    timelines: list[Timeline] = []
    customer = unit.customers.get(customer_id)
    if customer is None:
        raise customer_not_found(customer_id)
    for subscription in unit.subscriptions.of_customer(customer_id):
        try:
            timelines.append(load_timeline(unit, subscription=subscription, customer=customer))
        except (ConflictError, UnavailableError):
            raise
        except Exception as error:
            # A rating error never undoes counting.
            log.exception("rating_failed", subscription_id=subscription.id)
            if subscription.id not in failed:
                newly_failed[subscription.id] = f"{type(error).__name__}: {error}"
    return CompiledCustomer(
        customer_id=customer_id,
        revision=revision,
        catalog=catalog,
        assigner=CustomerAssigner(timelines),
        failed=failed | newly_failed,
        newly_failed=newly_failed,
        limits=limits.compiled(
            unit, revision=catalog.revision, customer=customer, timelines=timelines
        ),
    )
