"""The limits of customers, compiled once for each revision of the catalog and the customer."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from billing_server.domain.catalog.model import Meter, Plan
from billing_server.domain.limit.in_force import CustomerLimits, limits_in_force
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.customer_terms import load_timeline

CUSTOMERS_CACHED_MAX: Final = 20_000
"""Customers whose limits are kept compiled."""


class LimitCatalog:
    """Meters and plan versions at one revision of the catalog; read when they are first needed."""

    def __init__(self, revision: int) -> None:
        self.revision: Final = revision
        self._meters: dict[str, Meter] | None = None
        self._versions: dict[str, tuple[Plan, ...]] = {}

    def meters(self, unit: UnitOfWork) -> Mapping[str, Meter]:
        """Returns every meter by key."""
        if self._meters is None:
            self._meters = {meter.key: meter for meter in unit.catalog.meters()}
        return self._meters

    def versions(self, unit: UnitOfWork, *, plan_key: str) -> tuple[Plan, ...]:
        """Returns the versions of a plan, oldest first."""
        found = self._versions.get(plan_key)
        if found is None:
            found = self._versions[plan_key] = unit.catalog.plan_versions(plan_key)
        return found


class LimitSources:
    """All that a customer's limits come from. Immutable but for the answer that it gave last."""

    __slots__ = ("_last", "_meters", "_versions", "customer", "has_any", "timelines")

    def __init__(
        self,
        customer: Customer,
        *,
        timelines: Sequence[Timeline],
        versions: Mapping[str, Sequence[Plan]],
        meters: Mapping[str, Meter],
    ) -> None:
        self.customer = customer
        self.timelines = tuple(timelines)
        self.has_any = bool(customer.limits) or any(
            plan.limits for plans in versions.values() for plan in plans
        )
        self._versions = versions
        self._meters = meters
        self._last: tuple[datetime, CustomerLimits] | None = None

    def meter(self, key: str) -> Meter | None:
        """Returns a meter."""
        return self._meters.get(key)

    def at(self, now: datetime) -> CustomerLimits:
        """Returns the limits that hold at an instant."""
        last = self._last
        if last is not None and _holds(last[1], since=last[0], at=now):
            return last[1]
        limits = limits_in_force(
            self.customer,
            timelines=self.timelines,
            versions=self._versions,
            meters=self._meters,
            at=now,
        )
        self._last = (now, limits)
        return limits


class LimitBook:
    """Limits of customers, bounded. Safe for many threads: what is kept never changes."""

    def __init__(self, *, customers_max: int = CUSTOMERS_CACHED_MAX) -> None:
        self._customers_max = customers_max
        self._catalog = LimitCatalog(-1)
        self._kept: dict[str, tuple[int, LimitCatalog, LimitSources]] = {}
        self._eviction = threading.Lock()

    def catalog(self, revision: int) -> LimitCatalog:
        """Returns meters and plans at a revision of the catalog."""
        catalog = self._catalog
        if catalog.revision != revision:
            catalog = self._catalog = LimitCatalog(revision)
        return catalog

    def sources(
        self, unit: UnitOfWork, *, catalog_revision: int, customer_id: str, revision: int
    ) -> LimitSources | None:
        """Returns what a customer's limits come from; None where there is no such customer.

        Args:
            unit: a transaction.
            catalog_revision: of the catalog, as the unit sees it.
            customer_id: whose.
            revision: of the customer, as the unit sees it.
        """
        catalog = self.catalog(catalog_revision)
        kept = self._kept.get(customer_id)
        if kept is not None and kept[0] == revision and kept[1] is catalog:
            return kept[2]
        customer = unit.customers.get(customer_id)
        if customer is None:
            return None
        timelines = [
            load_timeline(unit, subscription=each, customer=customer)
            for each in unit.subscriptions.of_customer(customer_id)
        ]
        sources = self.compiled(
            unit, revision=catalog_revision, customer=customer, timelines=timelines
        )
        self._kept[customer_id] = (revision, catalog, sources)
        if len(self._kept) > self._customers_max:
            self._evict()
        return sources

    def compiled(
        self,
        unit: UnitOfWork,
        *,
        revision: int,
        customer: Customer,
        timelines: Sequence[Timeline],
    ) -> LimitSources:
        """Returns what the limits of a customer come from whose subscriptions are read already.

        Args:
            unit: a transaction.
            revision: of the catalog, as the unit sees it.
            customer: whose.
            timelines: of its subscriptions.
        """
        catalog = self.catalog(revision)
        plan_keys = {timeline.plan.key for timeline in timelines}
        return LimitSources(
            customer,
            timelines=timelines,
            versions={key: catalog.versions(unit, plan_key=key) for key in sorted(plan_keys)},
            meters=catalog.meters(unit),
        )

    def _evict(self) -> None:
        """Throws away the older half."""
        with self._eviction:
            surplus = len(self._kept) - self._customers_max // 2
            for customer_id in list(self._kept)[: max(surplus, 0)]:
                self._kept.pop(customer_id, None)


def _holds(limits: CustomerLimits, *, since: datetime, at: datetime) -> bool:
    return since <= at and (limits.valid_until is None or at < limits.valid_until)
