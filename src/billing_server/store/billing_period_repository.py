"""Billing periods in the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from billing_server.domain.ports.customers import (
    BillingPeriodState,
    DueKey,
    SubscriptionPeriod,
)
from billing_server.store.tables import billing_period
from billing_server.store.upsert import conflict_insert
from metering.period import Period


class SqlBillingPeriodRepository:
    """Billing periods by subscription and start."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, subscription_id: str, *, start: datetime) -> SubscriptionPeriod | None:
        """Returns a period."""
        found = self._read(billing_period.select().where(_is(subscription_id, start)))
        return found[0] if found else None

    def add(self, subscription_period: SubscriptionPeriod) -> None:
        """Writes a new period; one that is there already is left as it is."""
        self._connection.execute(
            conflict_insert(self._connection, billing_period)
            .values(
                subscription_id=subscription_period.subscription_id,
                customer_id=subscription_period.customer_id,
                period_start=subscription_period.period.start,
                period_end=subscription_period.period.end,
                state=subscription_period.state.value,
                has_late_usage=subscription_period.has_late_usage,
            )
            .on_conflict_do_nothing()
        )

    def running(self, subscription_id: str) -> tuple[SubscriptionPeriod, ...]:
        """Returns the running periods of a subscription, oldest first."""
        return self._read(
            billing_period.select()
            .where(
                billing_period.c.subscription_id == subscription_id,
                billing_period.c.state == BillingPeriodState.RUNNING.value,
            )
            .order_by(billing_period.c.period_start)
        )

    def mark_invoiced(self, subscription_id: str, *, start: datetime, close_time: datetime) -> None:
        """Notes that the period's invoice has been issued."""
        self._connection.execute(
            billing_period.update()
            .where(_is(subscription_id, start))
            .values(state=BillingPeriodState.INVOICED.value, close_time=close_time)
        )

    def due(
        self, *, ended_until: datetime, after: DueKey | None, limit: int
    ) -> tuple[SubscriptionPeriod, ...]:
        """Returns running periods that ended at or before an instant, by end, then subscription."""
        query = (
            billing_period.select()
            .where(
                billing_period.c.state == BillingPeriodState.RUNNING.value,
                billing_period.c.period_end <= ended_until,
            )
            .order_by(billing_period.c.period_end, billing_period.c.subscription_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(
                or_(
                    billing_period.c.period_end > after.due_time,
                    and_(
                        billing_period.c.period_end == after.due_time,
                        billing_period.c.subscription_id > after.subscription_id,
                    ),
                )
            )
        return self._read(query)

    def invoiced_until(self, subscription_id: str) -> datetime | None:
        """Returns the end of a subscription's last invoiced period."""
        return self._connection.execute(
            select(func.max(billing_period.c.period_end)).where(
                billing_period.c.subscription_id == subscription_id,
                billing_period.c.state == BillingPeriodState.INVOICED.value,
            )
        ).scalar()

    def next_end(self, *, after: datetime) -> datetime | None:
        """Returns the earliest end, after an instant, of a running period."""
        return self._connection.execute(
            select(func.min(billing_period.c.period_end)).where(
                billing_period.c.state == BillingPeriodState.RUNNING.value,
                billing_period.c.period_end > after,
            )
        ).scalar()

    def with_late_usage(self, subscription_id: str) -> tuple[SubscriptionPeriod, ...]:
        """Returns the invoiced periods of a subscription that have late usage, oldest first."""
        return self._read(
            billing_period.select()
            .where(
                billing_period.c.subscription_id == subscription_id,
                billing_period.c.state == BillingPeriodState.INVOICED.value,
                billing_period.c.has_late_usage,
            )
            .order_by(billing_period.c.period_start)
        )

    def clear_late_usage(self, subscription_id: str, *, start: datetime) -> None:
        """Notes that the late usage of a period stands on an invoice."""
        self._connection.execute(
            billing_period.update().where(_is(subscription_id, start)).values(has_late_usage=False)
        )

    def _read(self, query: Select[Any]) -> tuple[SubscriptionPeriod, ...]:
        return tuple(period_from_row(row) for row in self._connection.execute(query))


def period_from_row(row: Row[Any]) -> SubscriptionPeriod:
    """Returns the billing period that a row holds."""
    return SubscriptionPeriod(
        subscription_id=row.subscription_id,
        customer_id=row.customer_id,
        period=Period(row.period_start, row.period_end),
        state=BillingPeriodState(row.state),
        has_late_usage=row.has_late_usage,
    )


def _is(subscription_id: str, start: datetime) -> ColumnElement[bool]:
    return and_(
        billing_period.c.subscription_id == subscription_id,
        billing_period.c.period_start == start,
    )
