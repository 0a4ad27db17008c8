"""Late facts in the database."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, select, tuple_, type_coerce

from billing_server.domain.ports.events import EventPosition
from billing_server.domain.ports.late_facts import LateFact, LateFactKind
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.store.tables import late_fact
from billing_server.store.types import Int64


class SqlLateFactRepository:
    """Implements the port of late facts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, facts: Collection[LateFact]) -> None:
        """Notes facts that stand on no invoice yet."""
        if facts:
            self._connection.execute(
                late_fact.insert(),
                [
                    {
                        "subscription_id": fact.subscription_id,
                        "period_start": instant_from_microseconds(fact.period_start_us),
                        "event_time": instant_from_microseconds(fact.event_time_us),
                        "fact_id": fact.fact_id,
                        "kind": fact.kind.value,
                    }
                    for fact in facts
                ],
            )

    def assign(self, subscription_id: str, *, period_start: datetime, number: str) -> None:
        """Gives those of a period that stand on no invoice the number of the one that has them."""
        self._connection.execute(
            late_fact.update()
            .where(_is(subscription_id, period_start), late_fact.c.invoice_number.is_(None))
            .values(invoice_number=number)
        )

    def page(
        self,
        subscription_id: str,
        *,
        period_start: datetime,
        number: str | None,
        after: EventPosition | None,
        limit: int,
    ) -> list[tuple[int, str, LateFactKind]]:
        """Returns facts of a period on one invoice, by (time, id), behind a position."""
        time = type_coerce(late_fact.c.event_time, Int64)
        place = (time, late_fact.c.fact_id)
        statement = (
            select(*place, late_fact.c.kind)
            .where(_is(subscription_id, period_start), _is_on(number))
            .distinct()
            .order_by(*place, late_fact.c.kind)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(tuple_(*place) > tuple_(*after))
        return [
            (row[0], row[1], LateFactKind(row[2])) for row in self._connection.execute(statement)
        ]

    def new_in(
        self, subscription_id: str, *, period_start: datetime, start: datetime, end: datetime
    ) -> frozenset[str]:
        """Returns ids of events and adjustments of a period that came late, in [start, end)."""
        found = self._connection.execute(
            select(late_fact.c.fact_id).where(
                _is(subscription_id, period_start),
                late_fact.c.event_time >= start,
                late_fact.c.event_time < end,
                late_fact.c.kind != LateFactKind.CORRECTION.value,
            )
        )
        return frozenset(found.scalars())


def _is(subscription_id: str, period_start: datetime) -> ColumnElement[bool]:
    return and_(
        late_fact.c.subscription_id == subscription_id, late_fact.c.period_start == period_start
    )


def _is_on(number: str | None) -> ColumnElement[bool]:
    column = late_fact.c.invoice_number
    return column.is_(None) if number is None else column == number
