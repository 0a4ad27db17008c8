"""Alerts in the database."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, tuple_

from billing_server.domain.ports.alerts import AlertKey, AlertState, UnpricedAlert, UnpricedSeries
from billing_server.domain.usage.instants import instant_from_minute
from billing_server.store.tables import alert, usage_series
from billing_server.store.upsert import conflict_insert

UNPRICED_USAGE: Final = "unpriced_usage"
"""The one kind of alert so far."""
_ALERTS: Final = select(
    alert.c.alert_id,
    alert.c.customer_id,
    usage_series.c.meter_key,
    usage_series.c.dimensions,
    alert.c.usage_time,
    alert.c.close_time,
).join(usage_series, usage_series.c.series_id == alert.c.series_id)
"""In the order of the fields of UnpricedAlert."""


class SqlAlertRepository:
    """Implements the port of alerts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def raise_unpriced(self, found: Collection[UnpricedSeries]) -> None:
        """Raises an alert for each series that has no open one."""
        if not found:
            return
        insert = conflict_insert(self._connection, alert).on_conflict_do_nothing(
            index_elements=[alert.c.kind, alert.c.series_id],
            index_where=alert.c.close_time.is_(None),
        )
        rows = [
            {
                "kind": UNPRICED_USAGE,
                "customer_id": each.customer_id,
                "series_id": each.series_id,
                "usage_time": instant_from_minute(each.minute),
            }
            for each in sorted(found)
        ]
        self._connection.execute(insert, rows)

    def page(
        self,
        *,
        customer_id: str | None = None,
        state: AlertState | None = None,
        after: int = 0,
        limit: int,
    ) -> tuple[UnpricedAlert, ...]:
        """Returns up to `limit` alerts in the order in which they were raised."""
        columns = alert.c
        query = _ALERTS.where(columns.alert_id > after)
        if customer_id is not None:
            query = query.where(columns.customer_id == customer_id)
        if state is AlertState.OPEN:
            query = query.where(columns.close_time.is_(None))
        elif state is AlertState.CLOSED:
            query = query.where(columns.close_time.is_not(None))
        rows = self._connection.execute(query.order_by(columns.alert_id).limit(limit))
        return tuple(UnpricedAlert(*row) for row in rows)

    def open_by_customer(
        self, *, customer_id: str | None, after: AlertKey, limit: int
    ) -> tuple[UnpricedAlert, ...]:
        """Returns up to `limit` open alerts by (customer, number), those after a key."""
        place = (alert.c.customer_id, alert.c.alert_id)
        query = _ALERTS.where(alert.c.close_time.is_(None), tuple_(*place) > tuple_(*after))
        if customer_id is not None:
            query = query.where(alert.c.customer_id == customer_id)
        rows = self._connection.execute(query.order_by(*place).limit(limit))
        return tuple(UnpricedAlert(*row) for row in rows)

    def close(self, alert_ids: Collection[int], *, close_time: datetime) -> None:
        """Closes open alerts."""
        if not alert_ids:
            return
        self._connection.execute(
            alert.update()
            .where(alert.c.alert_id.in_(sorted(alert_ids)), alert.c.close_time.is_(None))
            .values(close_time=close_time)
        )
