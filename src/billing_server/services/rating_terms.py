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
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner, SeriesAssigner
from billing_server.domain.rating.usage import UsageTerms, usage_terms
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.usage.instants import (
    instant_from_minute,
    microseconds_from_instant,
    minute_from_instant,
)
from billing_server.domain.usage.meter_index import MeterIndex
from billing_server.services.customer_terms import load_timeline
from billing_server.services.limit_book import LimitBook, LimitSources
from billing_server.services.list_customers import customer_not_found
from metering.errors import ConflictError, UnavailableError
from metering.money import minor_unit_digits

CUSTOMERS_CACHED_MAX: Final = 20_000
"""Compiled customers that are kept; some 10 KiB each."""
SERIES_CACHED_MAX: Final = 10_000
"""Series of one customer that are kept compiled."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogTerms:
    """The meters at one revision of the catalog."""

    revision: int
    """Which revision."""
    index: MeterIndex
    """Which meters an event feeds."""


@dataclass(frozen=True, slots=True, eq=False)
class ChargeSlot:
    """One running charge: where it is kept and how it is rated. Compared by identity."""

    key: ChargeKey
    """The row."""
    terms: UsageTerms
    """The compiled price."""
    decimals: int
    """Of the meter."""
    currency_digits: int
    """Of the plan's currency."""
    is_maximum: bool
    """Whether quantities are folded by the largest, not by the sum."""


class SeriesRoute:
    """A series with the charge that it feeds in a span of minutes. Compared by identity."""

    __slots__ = (
        "_assigner",
        "_from_minute",
        "_period",
        "_slot",
        "_until_minute",
        "customer",
        "dimensions_json",
        "is_maximum",
        "meter",
        "series_id",
    )

    def __init__(
        self,
        customer: "CompiledCustomer",
        *,
        meter: Meter,
        assigner: SeriesAssigner,
        dimensions_json: str,
    ) -> None:
        self.customer = customer
        self.meter = meter
        self.dimensions_json = dimensions_json
        self.is_maximum = meter.aggregation is Aggregation.MAX
        self.series_id: int | None = None
        self._assigner = assigner
        self._slot: ChargeSlot | None = None
        self._period: tuple[str, int] | None = None
        self._from_minute = self._until_minute = 0

    def slot_at(self, minute: int) -> ChargeSlot | None:
        """Returns the charge that usage in this minute feeds; None where there is none."""
        if not self._from_minute <= minute < self._until_minute:
            self._look_at(minute)
        return self._slot

    def period_at(self, minute: int) -> tuple[str, int] | None:
        """Returns the subscription and period start (microseconds) that charge this minute.

        They are known where the charge itself cannot be rated; None: the usage is unpriced.
        """
        if not self._from_minute <= minute < self._until_minute:
            self._look_at(minute)
        return self._period

    def _look_at(self, minute: int) -> None:
        assignment = self._assigner.at(instant_from_minute(minute))
        timeline, period = assignment.timeline, assignment.period
        self._slot = self.customer.slot(assignment, meter=self.meter)
        self._period = (
            None
            if timeline is None or period is None
            else (timeline.subscription.id, microseconds_from_instant(period.start))
        )
        self._from_minute = minute_from_instant(assignment.valid_from)
        self._until_minute = minute_from_instant(assignment.valid_until)


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
            assigner = self.assigner.series(meter.key, dimensions=dimensions)
            route = SeriesRoute(
                self, meter=meter, assigner=assigner, dimensions_json=dimensions_json
            )
            self._routes[key] = route
        return route

    def slot(self, assignment: Assignment, *, meter: Meter) -> ChargeSlot | None:
        """Returns the running charge of an assignment; None where it is unpriced or unratable."""
        timeline, price, segment = assignment.timeline, assignment.price, assignment.segment
        if timeline is None or price is None or segment is None or assignment.period is None:
            return None
        subscription_id = timeline.subscription.id
        if subscription_id in self.failed:
            return None
        period_start_us = microseconds_from_instant(assignment.period.start)
        key = ChargeKey(
            self.customer_id, subscription_id, period_start_us, price.key, segment.index
        )
        slot = self._slots.get(key)
        if slot is not None:
            return slot
        try:
            slot = ChargeSlot(
                key=key,
                terms=usage_terms(price, meter=meter, share=segment.share),
                decimals=meter.decimals,
                currency_digits=minor_unit_digits(timeline.plan.currency),
                is_maximum=meter.aggregation is Aggregation.MAX,
            )
        except Exception as error:  # noqa: BLE001 - a rating error never undoes counting
            self.fail(subscription_id, error)
            return None
        self._slots[key] = slot
        return slot

    def fail(self, subscription_id: str, error: Exception) -> None:
        """Notes that a subscription cannot be rated."""
        log.error("rating_failed", subscription_id=subscription_id, exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        self.failed[subscription_id] = reason
        self.newly_failed[subscription_id] = reason


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
            catalog = CatalogTerms(revision=revision, index=MeterIndex(unit.catalog.meters()))
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
