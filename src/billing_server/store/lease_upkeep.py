"""What keeps the rows of leases few, and their debits counted once."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, case, delete, func, or_, select, tuple_

from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.domain.ports.limits import RepeatedDebit
from billing_server.store.chunks import chunks
from billing_server.store.tables import (
    agent,
    lease,
    lease_want,
    limit_account,
    repeated_debit,
    settled_elsewhere,
    terms_watch,
)

_OF_WINDOW = (
    (limit_account.c.customer_id == lease.c.customer_id)
    & (limit_account.c.limit_key == lease.c.limit_key)
    & (limit_account.c.window_id == lease.c.window_id)
)


def silent_leases(*, before: datetime, after: bytes, limit: int) -> Select[Any]:
    """Returns the query of live leases in running windows whose agents are silent, by id."""
    is_silent = or_(agent.c.sync_time.is_(None), agent.c.sync_time < before)
    is_running = or_(limit_account.c.window_end.is_(None), limit_account.c.window_end > before)
    return (
        select(lease)
        .outerjoin(agent, agent.c.ref == lease.c.agent_ref)
        .outerjoin(limit_account, _OF_WINDOW)
        .where(
            lease.c.state == LeaseState.LIVE.value,
            lease.c.create_time < before,
            lease.c.lease_id > after,
            is_silent,
            is_running,
        )
        .order_by(lease.c.lease_id)
        .limit(limit)
    )


def tell_leases(connection: Connection, leases: Collection[Lease]) -> None:
    """Writes in which sync leases were told, and until when they are; nothing else of them.

    Their accounts need not be held: one that another server changed since it was read, and that is
    to be told once more, is left as it is.
    """
    if not leases:
        return
    columns = lease.c
    statement = (
        lease.update()
        .where(
            columns.lease_id == bindparam("of_lease"),
            columns.granted == bindparam("of_granted"),
            columns.recall_no == bindparam("of_recall_no"),
            columns.state == bindparam("of_state"),
        )
        .values(told_in=bindparam("in_sync"), expire_time=bindparam("until"))
    )
    connection.execute(
        statement,
        [
            {
                "of_lease": each.lease_id,
                "of_granted": each.granted,
                "of_recall_no": each.recall_no,
                "of_state": each.state.value,
                "in_sync": each.told_in,
                "until": each.expire_time,
            }
            for each in leases
        ],
    )


def released_rest(key: WindowKey) -> Select[Any]:
    """Returns the query of what may still be used of leases that an operator released."""
    columns = lease.c
    rest = columns.granted - columns.returned - columns.settled
    # Of a closed lease of an amount something is left only where a person released it.
    return select(func.coalesce(func.sum(rest), 0)).where(
        columns.customer_id == key.customer_id,
        columns.limit_key == key.limit_key,
        columns.window_id == key.window_id,
        columns.state == LeaseState.CLOSED.value,
        rest > 0,
    )


def lease_totals() -> Select[Any]:
    """Returns the query of limit key, state, count and rest of all leases that are not closed."""
    columns = lease.c
    rest = columns.granted - columns.returned - columns.settled
    return (
        select(
            columns.limit_key,
            columns.state,
            func.count(),
            func.sum(case((rest > 0, rest), else_=0)),
        )
        .where(columns.state != LeaseState.CLOSED.value)
        .group_by(columns.limit_key, columns.state)
        .order_by(columns.limit_key, columns.state)
    )


def left_leases(*, ended_before: datetime, limit: int) -> Select[Any]:
    """Returns the query of leases that nobody closed in windows that ended before an instant."""
    return (
        select(lease)
        .join(limit_account, _OF_WINDOW)
        .where(lease.c.state != LeaseState.CLOSED.value, limit_account.c.window_end < ended_before)
        .limit(limit)
    )


def forget_lost_wants(
    connection: Connection, *, silent_before: datetime, ephemeral_before: datetime
) -> None:
    """Forgets what lost agents want and watch, and which of their holds were settled elsewhere.

    Agents that come back tell what they want in each sync, and in a new session of whom they know
    limits; their holds have expired.
    """
    is_lost = or_(
        agent.c.sync_time < silent_before,
        and_(agent.c.is_ephemeral, agent.c.sync_time < ephemeral_before),
    )
    lost = select(agent.c.ref).where(is_lost)
    for table in (lease_want, terms_watch, settled_elsewhere):
        connection.execute(delete(table).where(table.c.agent_ref.in_(lost)))


def purge_leases(connection: Connection, *, ended_before: datetime, limit: int) -> int:
    """Forgets up to `limit` closed leases that ended before an instant.

    Where the window never ends that is when their agent last told of them. What a person released
    of an amount stays: the published bound tells of it.
    """
    columns = lease.c
    is_done = columns.granted <= columns.returned + columns.settled
    last_told = func.coalesce(columns.report_time, columns.create_time)
    of_ended = (
        select(columns.lease_id)
        .join(limit_account, _OF_WINDOW)
        .where(
            columns.state == LeaseState.CLOSED.value,
            or_(
                limit_account.c.window_end < ended_before,
                and_(
                    limit_account.c.window_end.is_(None),
                    last_told < ended_before,
                    or_(is_done, columns.expire_time.is_not(None)),
                ),
            ),
        )
        .limit(limit)
    )
    ended = connection.execute(of_ended).scalars().all()
    for some in chunks(sorted(ended)):
        for table in (repeated_debit, lease):
            connection.execute(delete(table).where(table.c.lease_id.in_(some)))
    return len(ended)


def disks_told_of(connection: Connection, customer_ids: Collection[str]) -> set[bytes]:
    """Returns the ids of the disks that were told the terms of any of these customers."""
    found: set[bytes] = set()
    for some in chunks(sorted(set(customer_ids))):
        statement = (
            select(agent.c.disk_id)
            .distinct()
            .join(terms_watch, terms_watch.c.agent_ref == agent.c.ref)
            .where(terms_watch.c.customer_id.in_(some), agent.c.disk_id.is_not(None))
        )
        found.update(connection.execute(statement).scalars())
    return found


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
