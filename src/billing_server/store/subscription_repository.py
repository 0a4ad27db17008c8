"""Subscriptions in the database."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from billing_server.domain.ports.customers import DueKey, StartInvoice
from billing_server.domain.subscription.history import history_from_dict, history_to_dict
from billing_server.domain.subscription.model import Subscription
from billing_server.store.tables import subscription
from billing_server.store.tables_billing import START_INVOICE_IS_DUE
from metering.quantity import plain_decimal

_OF_CUSTOMER = (
    subscription.select()
    .where(subscription.c.customer_id == bindparam("of_customer"))
    .order_by(subscription.c.start_time, subscription.c.id)
)


class SqlSubscriptionRepository:
    """Subscriptions by id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, subscription_id: str) -> Subscription | None:
        """Returns a subscription."""
        return next(
            iter(self._read(subscription.select().where(subscription.c.id == subscription_id))),
            None,
        )

    def add(self, new: Subscription, *, create_time: datetime, start_invoice: StartInvoice) -> None:
        """Writes a new subscription."""
        self._connection.execute(
            subscription.insert().values(
                id=new.id,
                customer_id=new.customer_id,
                plan_key=new.plan_key,
                plan_version=new.plan_version,
                start_time=new.start,
                end_time=new.end,
                anchor=new.anchor,
                quantities=_quantities(new),
                content=history_to_dict(new),
                is_start_invoice_due=start_invoice is StartInvoice.DUE,
                create_time=create_time,
                update_time=create_time,
            )
        )

    def of_customer(self, customer_id: str) -> tuple[Subscription, ...]:
        """Returns the subscriptions of a customer by start, then id."""
        rows = self._connection.execute(_OF_CUSTOMER, {"of_customer": customer_id})
        return tuple(subscription_from_row(row) for row in rows)

    def page(
        self, *, after: str | None, limit: int, customer_id: str | None = None
    ) -> tuple[Subscription, ...]:
        """Returns up to `limit` subscriptions by id, those after `after`."""
        query = subscription.select().order_by(subscription.c.id).limit(limit)
        if after is not None:
            query = query.where(subscription.c.id > after)
        if customer_id is not None:
            query = query.where(subscription.c.customer_id == customer_id)
        return self._read(query)

    def on_plan(self, plan_key: str, *, after: str | None, limit: int) -> tuple[Subscription, ...]:
        """Returns up to `limit` subscriptions of a plan by id, those after `after`."""
        query = (
            subscription.select()
            .where(subscription.c.plan_key == plan_key)
            .order_by(subscription.c.id)
            .limit(limit)
        )
        return self._read(query if after is None else query.where(subscription.c.id > after))

    def update_history(self, changed: Subscription, *, update_time: datetime) -> None:
        """Writes what changed in a subscription: versions, overrides, add-ons, quantities."""
        self._connection.execute(
            subscription.update()
            .where(subscription.c.id == changed.id)
            .values(
                plan_version=changed.plan_version,
                quantities=_quantities(changed),
                content=history_to_dict(changed),
                update_time=update_time,
            )
        )

    def starts_due(
        self, *, until: datetime, after: DueKey | None, limit: int
    ) -> tuple[Subscription, ...]:
        """Returns subscriptions whose start invoice is due, by start, then id."""
        query = (
            subscription.select()
            .where(START_INVOICE_IS_DUE, subscription.c.start_time <= until)
            .order_by(subscription.c.start_time, subscription.c.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(
                or_(
                    subscription.c.start_time > after.due_time,
                    and_(
                        subscription.c.start_time == after.due_time,
                        subscription.c.id > after.subscription_id,
                    ),
                )
            )
        return self._read(query)

    def is_start_invoice_due(self, subscription_id: str) -> bool:
        """Tells whether the start invoice of a subscription has still to be issued."""
        found = self._connection.execute(
            select(subscription.c.is_start_invoice_due).where(subscription.c.id == subscription_id)
        )
        return bool(found.scalar())

    def clear_start_invoice(self, subscription_id: str) -> None:
        """Notes that the start invoice has been issued."""
        self._connection.execute(
            subscription.update()
            .where(subscription.c.id == subscription_id)
            .values(is_start_invoice_due=False)
        )

    def next_start_due(self, *, after: datetime) -> datetime | None:
        """Returns the earliest start after an instant whose invoice has still to be issued."""
        return self._connection.execute(
            select(func.min(subscription.c.start_time)).where(
                START_INVOICE_IS_DUE, subscription.c.start_time > after
            )
        ).scalar()

    def _read(self, query: Select[Any]) -> tuple[Subscription, ...]:
        return tuple(subscription_from_row(row) for row in self._connection.execute(query))


def subscription_from_row(row: Row[Any]) -> Subscription:
    """Returns the subscription that a row holds."""
    return Subscription(
        id=row.id,
        customer_id=row.customer_id,
        plan_key=row.plan_key,
        plan_version=row.plan_version,
        start=row.start_time,
        end=row.end_time,
        anchor=row.anchor,
        quantities={key: Decimal(value) for key, value in row.quantities.items()},
        **history_from_dict(row.content),
    )


def _quantities(subscribed: Subscription) -> dict[str, str]:
    return {key: plain_decimal(value) for key, value in sorted(subscribed.quantities.items())}
