"""Customers in the database."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from billing_server.domain.catalog.read_limit import limit_to_dict
from billing_server.domain.catalog.serialize import limits_from_plain
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxExemption
from billing_server.store.chunks import chunks
from billing_server.store.tables import customer

CONTENT_FIELDS = ("country", "region", "tax_id", "email", "purchase_order")
"""Fields that nothing is searched by: kept together, so that a new one needs no migration."""

_BY_ID = customer.select().where(customer.c.id == bindparam("customer_id"))


class SqlCustomerRepository:
    """Customers by id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, customer_id: str) -> Customer | None:
        """Returns a customer."""
        found = self._connection.execute(_BY_ID, {"customer_id": customer_id}).first()
        return None if found is None else customer_from_row(found)

    def add(self, new: Customer, *, create_time: datetime) -> None:
        """Writes a new customer."""
        self._connection.execute(
            customer.insert().values(
                id=new.id, create_time=create_time, update_time=create_time, **_values(new)
            )
        )

    def update(self, changed: Customer, *, update_time: datetime) -> None:
        """Writes the changed details of a customer and advances its revision."""
        self._connection.execute(
            customer.update()
            .where(customer.c.id == changed.id)
            .values(revision=customer.c.revision + 1, update_time=update_time, **_values(changed))
        )

    def lock(self, customer_ids: Sequence[str]) -> None:
        """Holds customers until the end of the transaction, in sorted order."""
        self._connection.execute(
            select(customer.c.id)
            .where(customer.c.id.in_(sorted(set(customer_ids))))
            .order_by(customer.c.id)
            .with_for_update()
        ).all()

    def revisions(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Returns the revision of each customer that exists; holds nothing."""
        found: dict[str, int] = {}
        for some in chunks(sorted(set(customer_ids))):
            rows = self._connection.execute(
                select(customer.c.id, customer.c.revision).where(customer.c.id.in_(some))
            )
            found |= {row.id: row.revision for row in rows}
        return found

    def advance_revision(self, customer_id: str) -> None:
        """Marks the terms of a customer as changed."""
        self._connection.execute(
            customer.update()
            .where(customer.c.id == customer_id)
            .values(revision=customer.c.revision + 1)
        )

    def page(self, *, after: str | None, limit: int) -> tuple[Customer, ...]:
        """Returns up to `limit` customers by id, those after `after`."""
        query = customer.select().order_by(customer.c.id).limit(limit)
        if after is not None:
            query = query.where(customer.c.id > after)
        return tuple(customer_from_row(row) for row in self._connection.execute(query))


def customer_from_row(row: Row[Any]) -> Customer:
    """Returns the customer that a row holds."""
    return Customer(
        id=row.id,
        name=row.name,
        currency=row.currency,
        timezone=row.timezone,
        limits=limits_from_plain(row.content.get("limits")),
        tax_exempt=TaxExemption(row.content.get("tax_exempt", TaxExemption.NONE)),
        **{field: row.content.get(field, "") for field in CONTENT_FIELDS},
    )


def _values(kept: Customer) -> dict[str, object]:
    limits = {}
    if kept.limits is not None:
        limits["limits"] = [limit_to_dict(limit) for limit in kept.limits]
    return {
        "name": kept.name,
        "currency": kept.currency,
        "timezone": kept.timezone,
        "content": {field: getattr(kept, field) for field in CONTENT_FIELDS}
        | {"tax_exempt": str(kept.tax_exempt)}
        | limits,
    }
