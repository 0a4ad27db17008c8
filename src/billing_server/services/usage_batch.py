"""What a batch of new events changes: minute buckets and running charges, grouped in memory first.

Grouping before touching the database is what makes a batch cheap: many events of a customer become
one row a series and minute, and one rating a price. A charge is brought up to date from its own row
and what the batch adds, whatever the history before it; only prices that are rated by event look at
the events of their segment again.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from billing_server.domain.ports.alerts import UnpricedSeries
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeRow, SeriesKey
from billing_server.domain.usage.instants import INT64_MAX, instant_from_microseconds
from billing_server.domain.usage.meter_index import MeterEffect, Quarantine
from billing_server.services.batch_buckets import BatchBuckets
from billing_server.services.batch_charges import BatchCharges
from billing_server.services.charge_slot import AmountTooLargeError, ChargeChange
from billing_server.services.judge_event import TOO_LARGE
from billing_server.services.late_facts import CountedEvent, late_events
from billing_server.services.rating_terms import CompiledCustomer
from billing_server.services.series_route import SeriesRoute
from billing_server.services.settle_limits import LimitedEvent, settled_limits
from billing_server.services.usage_payload import DecodedEvent
from billing_server.services.void_guesses import void_guesses
from metering.errors import InvariantError


class UsageBatch:
    """Events that are to be counted, not yet written. Used once, inside one transaction.

    Args:
        now: the time; None: when the latest of its events was received.
        disk_ref: the disk that pushed them; None: that of the agent that each event names.
    """

    def __init__(self, *, now: datetime | None = None, disk_ref: int | None = None) -> None:
        self._now = now
        self._disk_ref = disk_ref
        self._limited: list[LimitedEvent] = []
        self._settlements: list[DecodedEvent] = []
        self._buckets = BatchBuckets()
        self._counted: list[CountedEvent] = []
        self._customers: dict[str, CompiledCustomer] = {}
        self._numbers: dict[SeriesRoute, int] = {}
        self.changes: tuple[ChargeChange, ...] = ()
        """What `write` did to running charges, each at most once."""
        self._unpriced: dict[SeriesRoute, int] = {}

    def add(
        self, event: DecodedEvent, *, customer: CompiledCustomer, effects: Sequence[MeterEffect]
    ) -> None:
        """Adds one event."""
        self._customers[customer.customer_id] = customer
        self._counted.append(CountedEvent(event, customer, effects))
        self._buckets.add(event, customer=customer, effects=effects)
        if customer.limits.has_any:
            disk_ref = event.row.agent_ref if self._disk_ref is None else self._disk_ref
            self._limited.append(LimitedEvent(event, effects, disk_ref))
        if event.settlement is not None:
            self._settlements.append(event)

    def too_large(self, unit: UnitOfWork) -> Quarantine | None:
        """Returns why a bucket would pass its bound; asked on the careful path only."""
        self._resolve_series(unit)
        added = {
            (minute, route.customer.customer_id, self._number_of(route)): group[0]
            for (route, minute), group in self._buckets.sums.items()
        }
        values = unit.usage.bucket_values(list(added))
        overflows = any(values.get(key, 0) + value > INT64_MAX for key, value in added.items())
        return TOO_LARGE if overflows else None

    def publish(self) -> None:
        """Shares the numbers of series with later batches. Only after the commit.

        Before it a number may still be undone, and whoever counted under it would count for nobody.
        """
        for route, number in self._numbers.items():
            route.series_id = number
        for route in self._unpriced:
            route.is_alerted = True

    def write(self, unit: UnitOfWork) -> None:
        """Writes buckets and running charges, and marks what cannot be rated.

        Raises:
            AmountTooLargeError: a charge would come to more than an invoice can hold; the
                transaction has to be undone, the events are to blame.
        """
        with self._settled_limits(unit):
            self._resolve_series(unit)
            self._buckets.write(unit, number_of=self._number_of)
            self._write_charges(unit)
        self._mark_late_usage(unit)
        self._raise_alerts(unit)
        self._write_failures(unit)
        void_guesses(unit, events=self._settlements, now=self._time())

    def _time(self) -> datetime:
        events = [*self._settlements, *(each.event for each in self._limited)]
        latest_us = max((event.row.receive_time_us for event in events), default=0)
        return self._now or instant_from_microseconds(latest_us)

    def _settled_limits(self, unit: UnitOfWork) -> AbstractContextManager[None]:
        """Settles the limits of customers that have any around the counting."""
        now = self._time()
        limits = [
            limit
            for customer in self._customers.values()
            if customer.limits.has_any
            for limit in customer.limits.at(now).limits
        ]
        return settled_limits(unit, events=self._limited, limits=limits, now=now)

    def _resolve_series(self, unit: UnitOfWork) -> None:
        missing: dict[SeriesKey, SeriesRoute] = {
            (route.customer.customer_id, route.meter.key, route.dimensions_json): route
            for route, _minute in self._buckets.groups()
            if route.series_id is None and route not in self._numbers
        }
        if missing:
            for key, number in unit.usage.series_ids(list(missing)).items():
                self._numbers[missing[key]] = number

    def _number_of(self, route: SeriesRoute) -> int:
        number = self._numbers.get(route, route.series_id)
        if number is None:
            raise InvariantError(reason="SERIES_UNRESOLVED", message="a series has no number yet")
        return number

    def _write_charges(self, unit: UnitOfWork) -> None:
        charges = BatchCharges(self._buckets)
        if not charges.slots:
            return
        before = unit.usage.charges([slot.key for slot in charges.slots])
        rows: list[ChargeRow] = []
        changes: list[ChargeChange] = []
        for slot, rate in charges.ratings(unit, before=before):
            try:
                row = rate()
            except AmountTooLargeError:
                # Events are to blame and not the price: the careful path finds out which.
                raise
            except Exception as error:  # noqa: BLE001 - a rating error never undoes counting
                self._customers[slot.key.customer_id].fail(slot.key.subscription_id, error)
                continue
            rows.append(row)
            changes.append(ChargeChange(slot, before.get(slot.key), row))
        unit.usage.put_charges(rows)
        unit.usage_facts.put_event_states(charges.event_states)
        self.changes = tuple(changes)

    def _mark_late_usage(self, unit: UnitOfWork) -> None:
        """Marks invoiced periods that were fed, those too that cannot be rated now (R76)."""
        fed = {route.period_at(minute) for route, minute in self._buckets.groups()}
        periods = {period for period in fed if period is not None}
        invoiced = unit.usage.mark_late_usage(periods) if periods else frozenset()
        if invoiced:  # Seldom: usage is in time.
            unit.late_facts.add(late_events(self._counted, invoiced=invoiced))
        levels = self._buckets.levels_since()
        if levels:
            unit.usage.mark_late_levels(list(levels.items()))

    def _raise_alerts(self, unit: UnitOfWork) -> None:
        """Tells of usage that no price charges: once, however much of it follows (R32)."""
        for route, minute in self._buckets.groups():
            if not route.is_alerted and route.period_at(minute) is None:
                if self._is_for_limits_alone(unit, route):
                    route.is_alerted = True  # Nothing to tell, as long as the catalog stands.
                    continue
                self._unpriced[route] = min(minute, self._unpriced.get(route, minute))
        found = [
            UnpricedSeries(route.customer.customer_id, self._number_of(route), minute)
            for route, minute in self._unpriced.items()
        ]
        if found:
            unit.alerts.raise_unpriced(found)

    def _is_for_limits_alone(self, unit: UnitOfWork, route: SeriesRoute) -> bool:
        customer = self._customers[route.customer.customer_id]
        return customer.catalog.uses(unit).is_for_limits_alone(
            route.meter.key, customer=customer.limits.customer
        )

    def _write_failures(self, unit: UnitOfWork) -> None:
        for customer in self._customers.values():
            if customer.newly_failed:
                for subscription_id, reason in customer.newly_failed.items():
                    unit.usage.set_rating_failed(subscription_id, reason=reason)
                # Other servers and the next batch compile the customer anew.
                unit.customers.advance_revision(customer.customer_id)
