"""What keeps the rows of leases few, and their debits counted once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.ports.limits import RepeatedDebit
from billing_server.store.chunks import chunks
from billing_server.store.tables import lease, limit_account, repeated_debit


def purge_leases(connection: Connection, *, ended_before: datetime, limit: int) -> int:
    """Forgets up to `limit` closed leases of windows that ended before an instant."""
    of_ended = (
        select(lease.c.lease_id)
        .join(
            limit_account,
            (limit_account.c.customer_id == lease.c.customer_id)
            & (limit_account.c.limit_key == lease.c.limit_key)
            & (limit_account.c.window_id == lease.c.window_id),
        )
        .where(
            lease.c.state == LeaseState.CLOSED.value,
            limit_account.c.window_end < ended_before,
        )
        .limit(limit)
    )
    ended = connection.execute(of_ended).scalars().all()
    for some in chunks(sorted(ended)):
        for table in (repeated_debit, lease):
            connection.execute(delete(table).where(table.c.lease_id.in_(some)))
    return len(ended)


def add_repeated_debits(
    connection: Connection, debits: Collection[RepeatedDebit]
) -> frozenset[RepeatedDebit]:
    """Notes debits as taken back; returns those that were not noted before."""
    names = [column.name for column in repeated_debit.c]
    key = tuple_(*repeated_debit.c)
    known: set[RepeatedDebit] = set()
    for some in chunks(sorted(set(debits))):
        rows = connection.execute(repeated_debit.select().where(key.in_(some)))
        known |= {RepeatedDebit(*row) for row in rows}
    fresh = frozenset(debits) - known
    if fresh:
        rows_of_fresh = [dict(zip(names, debit, strict=True)) for debit in sorted(fresh)]
        connection.execute(repeated_debit.insert(), rows_of_fresh)
    return fresh
