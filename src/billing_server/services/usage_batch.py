"""What a batch of new events changes: minute buckets and running charges, grouped in memory first.

Grouping before touching the database is what makes a batch cheap: many events of a customer become
one row a series and minute, and one rating a price.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import BucketChange, ChargeKey, ChargeRow, SeriesKey
from billing_server.domain.rating.usage import UsageTerms
from billing_server.domain.usage.instants import INT64_MAX, instant_from_microseconds
from billing_server.domain.usage.meter_index import MeterEffect, Quarantine
from billing_server.services.judge_event import AMOUNT_TOO_LARGE, TOO_LARGE
from billing_server.services.rating_terms import ChargeSlot, CompiledCustomer, SeriesRoute
from billing_server.services.settle_limits import LimitedEvent, settled_limits
from billing_server.services.usage_payload import DecodedEvent
from metering.errors import InvariantError
from metering.money import minor_unit_digits, round_to_minor
from metering.quantity import plain_decimal, unscale_quantity

AMOUNT_MINOR_MAX: Final = 10**15
"""Largest amount of one price in one period, in minor units: thousands of such lines still add up
to an invoice of 64 bits."""


class AmountTooLargeError(InvariantError):
    """A charge would come to more than an invoice can hold."""


class UsageBatch:
    """Events that are to be counted, not yet written. Used once, inside one transaction.

    Args:
        now: the time; None: when the latest of its events was received.
    """

    def __init__(self, *, now: datetime | None = None) -> None:
        self._now = now
        self._limited: list[LimitedEvent] = []
        self._groups: dict[tuple[SeriesRoute, int], list[int]] = {}
        self._customers: dict[str, CompiledCustomer] = {}
        self._numbers: dict[SeriesRoute, int] = {}

    def add(
        self, event: DecodedEvent, *, customer: CompiledCustomer, effects: Sequence[MeterEffect]
    ) -> None:
        """Adds one event."""
        groups = self._groups
        minute = event.minute
        self._customers[customer.customer_id] = customer
        if customer.limits.has_any:
            self._limited.append(LimitedEvent(event, effects))
        for meter, value in effects:
            route = customer.route(
                meter, dimensions=event.dimensions, dimensions_json=event.dimensions_json
            )
            group = groups.get((route, minute))
            if group is None:
                groups[route, minute] = [value, 1]
                continue
            group[0] = max(group[0], value) if route.is_maximum else group[0] + value
            group[1] += 1

    def too_large(self, unit: UnitOfWork) -> Quarantine | None:
        """Returns why a bucket or a charge would pass its bound; asked on the careful path only."""
        if self._buckets_overflow(unit):
            return TOO_LARGE
        for slot, quantity in self._charge_quantities(unit):
            try:
                _charge_row(slot, quantity)
            except AmountTooLargeError:
                return AMOUNT_TOO_LARGE
            except Exception:  # noqa: BLE001, S112 - whatever else it is, `write` marks it
                continue
        return None

    def _buckets_overflow(self, unit: UnitOfWork) -> bool:
        self._resolve_series(unit)
        additive = {
            (minute, route.customer.customer_id, self._number_of(route)): group[0]
            for (route, minute), group in self._groups.items()
            if not route.is_maximum
        }
        values = unit.usage.bucket_values(list(additive))
        return any(values.get(key, 0) + value > INT64_MAX for key, value in additive.items())

    def publish(self) -> None:
        """Shares the numbers of series with later batches. Only after the commit.

        Before it a number may still be undone, and whoever counted under it would count for nobody.
        """
        for route, number in self._numbers.items():
            route.series_id = number

    def write(self, unit: UnitOfWork) -> None:
        """Writes buckets and running charges, and marks what cannot be rated."""
        with self._settled_limits(unit):
            self._resolve_series(unit)
            self._write_buckets(unit)
            self._write_charges(unit)
        self._mark_late_usage(unit)
        self._write_failures(unit)

    def _settled_limits(self, unit: UnitOfWork) -> AbstractContextManager[None]:
        """Settles the limits of customers that have any around the counting."""
        latest_us = max((each.event.row.receive_time_us for each in self._limited), default=0)
        now = self._now or instant_from_microseconds(latest_us)
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
            for route, _minute in self._groups
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

    def _write_buckets(self, unit: UnitOfWork) -> None:
        additive: list[BucketChange] = []
        largest: list[BucketChange] = []
        for (route, minute), (value, count) in self._groups.items():
            changes = largest if route.is_maximum else additive
            changes.append(
                BucketChange(
                    minute, route.customer.customer_id, self._number_of(route), value, count
                )
            )
        if additive:
            unit.usage.add_to_buckets(additive)
        if largest:
            unit.usage.raise_buckets(largest)

    def _charge_quantities(self, unit: UnitOfWork) -> list[tuple[ChargeSlot, int]]:
        """Returns each charge that changes, with its new quantity."""
        changes: dict[ChargeSlot, int] = {}
        for (route, minute), group in self._groups.items():
            slot = route.slot_at(minute)
            if slot is None:
                continue
            before = changes.get(slot)
            if before is None:
                changes[slot] = group[0]
            else:
                changes[slot] = max(before, group[0]) if slot.is_maximum else before + group[0]
        if not changes:
            return []
        known = unit.usage.charge_quantities([slot.key for slot in changes])
        return [
            (
                slot,
                max(known.get(slot.key, 0), change)
                if slot.is_maximum
                else known.get(slot.key, 0) + change,
            )
            for slot, change in changes.items()
        ]

    def _write_charges(self, unit: UnitOfWork) -> None:
        rows = []
        for slot, quantity in self._charge_quantities(unit):
            try:
                rows.append(_charge_row(slot, quantity))
            except AmountTooLargeError:
                # Events are to blame and not the price: the careful path finds out which.
                raise
            except Exception as error:  # noqa: BLE001 - a rating error never undoes counting
                self._customers[slot.key.customer_id].fail(slot.key.subscription_id, error)
        if rows:
            unit.usage.put_charges(rows)

    def _mark_late_usage(self, unit: UnitOfWork) -> None:
        """Marks invoiced periods that were fed, those too that cannot be rated now (R76)."""
        fed = {route.period_at(minute) for route, minute in self._groups}
        periods = {period for period in fed if period is not None}
        if periods:
            unit.usage.mark_late_usage(periods)

    def _write_failures(self, unit: UnitOfWork) -> None:
        for customer in self._customers.values():
            if customer.newly_failed:
                for subscription_id, reason in customer.newly_failed.items():
                    unit.usage.set_rating_failed(subscription_id, reason=reason)
                # Other servers and the next batch compile the customer anew.
                unit.customers.advance_revision(customer.customer_id)


def charge_row_of(
    key: ChargeKey, *, terms: UsageTerms, quantity: int, decimals: int, currency: str
) -> ChargeRow:
    """Returns a running charge, rated and rounded.

    Args:
        key: the row.
        terms: the compiled price.
        quantity: in the meter's smallest unit.
        decimals: of the meter.
        currency: of the plan.
    """
    slot = ChargeSlot(
        key=key,
        terms=terms,
        decimals=decimals,
        currency_digits=minor_unit_digits(currency),
        is_maximum=False,
    )
    return _charge_row(slot, quantity)


def _charge_row(slot: ChargeSlot, quantity: int) -> ChargeRow:
    amount = slot.terms.rate(unscale_quantity(quantity, decimals=slot.decimals))
    amount_minor = round_to_minor(amount, digits=slot.currency_digits)
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise AmountTooLargeError(
            reason="AMOUNT_TOO_LARGE",
            message=f"price {slot.key.price_key!r} comes to {amount}, which no invoice can hold",
        )
    return ChargeRow(slot.key, quantity, _stored_amount(amount), amount_minor)


def _stored_amount(amount: Decimal | Fraction) -> Decimal:
    """Returns the amount as it is shown; the rounded one is made from the exact value."""
    return amount if isinstance(amount, Decimal) else Decimal(plain_decimal(amount))
