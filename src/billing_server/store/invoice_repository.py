"""Issued invoices in the database."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select, tuple_
from sqlalchemy.exc import IntegrityError

from billing_server.domain.invoice.late_usage import ALL_GROUPS, group_name
from billing_server.domain.invoice.lines import sequence_of
from billing_server.domain.invoice.model import USAGE_KINDS, Invoice, InvoiceState, LineKind
from billing_server.domain.invoice.serialize import line_tax_from_dict
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.ports.invoices import (
    InvoiceContent,
    InvoicedGroup,
    InvoicedUsage,
    InvoiceFilter,
)
from billing_server.domain.rating.assignment import UsageKey
from billing_server.store.tables import invoice, invoice_line, number_series
from metering.errors import ConflictError
from metering.period import Period

INVOICE_SERIES = "invoice"
NUMBER_DIGITS = 6
"""Digits that a number has at least: INV-000001."""


class SqlInvoiceRepository:
    """Invoices by id and by number."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_number(self) -> str:
        """Takes the next number; the row stays locked, and a roll-back frees the number (R68)."""
        row = self._connection.execute(
            number_series.update()
            .where(number_series.c.key == INVOICE_SERIES)
            .values(next_number=number_series.c.next_number + 1)
            .returning(number_series.c.prefix, number_series.c.next_number)
        ).one()
        return f"{row.prefix}{row.next_number - 1:0{NUMBER_DIGITS}d}"

    def add(self, new: Invoice, *, content: InvoiceContent, create_time: datetime) -> None:
        """Writes an invoice with its lines.

        Raises:
            ConflictError: INVOICE_EXISTS where the key of the invoice or of a line is taken (R67).
        """
        try:
            self._connection.execute(
                invoice.insert().values(
                    id=new.id,
                    number=new.number,
                    customer_id=new.customer_id,
                    subscription_id=new.subscription_id,
                    reason=new.reason.value,
                    cause=new.cause,
                    state=new.state.value,
                    currency=new.currency,
                    period_start=new.period.start,
                    period_end=new.period.end,
                    issue_time=new.issue_time,
                    due_time=new.due_time,
                    total_minor=new.total.amount_minor,
                    amount_due_minor=new.amount_due.amount_minor,
                    inputs_sha256=new.inputs_sha256,
                    replaces=new.replaces,
                    content=content,
                    create_time=create_time,
                )
            )
            self._add_lines(new, content=content)
        except IntegrityError as error:
            raise ConflictError(
                reason="INVOICE_EXISTS",
                message=f"an invoice of customer {new.customer_id} for {new.reason.value} "
                f"{new.cause} is there already: what it charges is invoiced once",
            ) from error

    def _add_lines(self, new: Invoice, *, content: InvoiceContent) -> None:
        rows = [
            {
                "invoice_id": new.id,
                "line_index": index,
                "charge_key": line.charge_key,
                "subscription_id": line.subscription,
                "price_key": line.price,
                "kind": line.kind.value,
                "period_start": line.service_period.start,
                "period_end": line.service_period.end,
                "amount_minor": line.amount.amount_minor,
                "content": line_content,
            }
            for index, (line, line_content) in enumerate(
                zip(new.lines, content["lines"], strict=True)
            )
        ]
        if rows:
            self._connection.execute(invoice_line.insert(), rows)

    def exists(self, *, customer_id: str, subscription_id: str, reason: str, cause: str) -> bool:
        """Tells whether a document that is not void carries this key (R67)."""
        found = self._connection.execute(
            select(invoice.c.id).where(
                invoice.c.customer_id == customer_id,
                invoice.c.subscription_id == subscription_id,
                invoice.c.reason == reason,
                invoice.c.cause == cause,
                invoice.c.state != InvoiceState.VOID.value,
            )
        )
        return found.first() is not None

    def get(self, invoice_id: str) -> InvoiceContent | None:
        """Returns an invoice by id."""
        return self._connection.execute(
            select(invoice.c.content).where(invoice.c.id == invoice_id)
        ).scalar()

    def by_number(self, number: str) -> InvoiceContent | None:
        """Returns an invoice by number."""
        return self._connection.execute(
            select(invoice.c.content).where(invoice.c.number == number)
        ).scalar()

    def page(
        self, wanted: InvoiceFilter, *, after: str | None, limit: int
    ) -> tuple[InvoiceContent, ...]:
        """Returns up to `limit` invoices in the order of issue, those after the number `after`."""
        # Numbers have at least six digits: the shorter one is always the earlier one.
        order = (func.length(invoice.c.number), invoice.c.number)
        query = select(invoice.c.content).where(invoice.c.number.is_not(None))
        for column, value in (
            (invoice.c.customer_id, wanted.customer_id),
            (invoice.c.subscription_id, wanted.subscription_id),
            (invoice.c.state, wanted.state),
            (invoice.c.reason, wanted.reason),
        ):
            if value is not None:
                query = query.where(column == value)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(len(after), after))
        rows = self._connection.execute(query.order_by(*order).limit(limit))
        return tuple(row.content for row in rows)

    def invoiced_usage(
        self, *, subscription_id: str, period: Period
    ) -> dict[UsageKey, InvoicedUsage]:
        """Returns what documents that are not void carry for the usage of one period."""
        rows = self._connection.execute(
            select(
                invoice_line.c.price_key,
                invoice_line.c.kind,
                invoice_line.c.charge_key,
                invoice_line.c.amount_minor,
                invoice_line.c.content,
            )
            .join(invoice, invoice.c.id == invoice_line.c.invoice_id)
            .where(
                invoice_line.c.subscription_id == subscription_id,
                invoice_line.c.period_start >= period.start,
                invoice_line.c.period_start < period.end,
                invoice_line.c.kind.in_([kind.value for kind in USAGE_KINDS]),
                invoice.c.state != InvoiceState.VOID.value,
            )
        )
        found: dict[UsageKey, list[Any]] = defaultdict(list)
        for row in rows:
            found[UsageKey(row.price_key, row.content["segment"])].append(row)
        return {key: _invoiced_usage(lines) for key, lines in found.items()}

    def lines_in(self, *, subscription_id: str, period: Period) -> tuple[EarlierLine, ...]:
        """Returns the lines of documents that are not void whose service begins in a period."""
        rows = self._connection.execute(
            select(invoice_line)
            .join(invoice, invoice.c.id == invoice_line.c.invoice_id)
            .where(
                invoice_line.c.subscription_id == subscription_id,
                invoice_line.c.period_start >= period.start,
                invoice_line.c.period_start < period.end,
                invoice.c.state != InvoiceState.VOID.value,
            )
            .order_by(invoice_line.c.charge_key)
        )
        return tuple(
            EarlierLine(
                charge_key=row.charge_key,
                price=row.price_key,
                kind=LineKind(row.kind),
                sequence=sequence_of(row.charge_key),
                service_period=Period(row.period_start, row.period_end),
                amount_minor=row.amount_minor,
                tax=line_tax_from_dict(row.content),
            )
            for row in rows
        )

    def has_any(self, customer_id: str) -> bool:
        """Tells whether a customer was ever invoiced."""
        found = self._connection.execute(
            select(invoice.c.id).where(invoice.c.customer_id == customer_id).limit(1)
        )
        return found.first() is not None


def _invoiced_usage(lines: Sequence[Any]) -> InvoicedUsage:
    """Returns what the lines of one price's segment carry in all."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for line in lines:
        groups[group_name(line.content.get("group", {}))].append(line)
    return InvoicedUsage(
        quantity=_quantity(lines),
        amount_minor=_amount_minor(lines),
        # Counted among the late lines alone: a period may have been invoiced without usage.
        late_sequence=max(
            (sequence_of(line.charge_key) for line in lines if line.kind == LineKind.LATE_USAGE),
            default=0,
        ),
        groups={
            name: InvoicedGroup(_quantity(found), _amount_minor(found))
            for name, found in groups.items()
            if groups.keys() != {ALL_GROUPS}
        },
    )


def _quantity(lines: Sequence[Any]) -> Decimal:
    return sum((Decimal(line.content["quantity"]) for line in lines), Decimal(0))


def _amount_minor(lines: Sequence[Any]) -> int:
    return sum(line.amount_minor for line in lines)
