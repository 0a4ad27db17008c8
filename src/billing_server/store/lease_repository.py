"""Leases in the database, and what agents want and were told."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
)

from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.domain.ports.limits import (
    LeaseTotal,
    LeaseWant,
    RepeatedDebit,
    TermsWatch,
)
from billing_server.domain.ports.news import news_of_disk
from billing_server.store.chunks import chunks
from billing_server.store.lease_upkeep import (
    add_repeated_debits,
    disks_told_of,
    forget_lost_wants,
    lease_totals,
    left_leases,
    purge_leases,
    released_rest,
    silent_leases,
    tell_leases,
)
from billing_server.store.tables import (
    customer,
    lease,
    lease_want,
    settled_elsewhere,
    terms_watch,
)
from billing_server.store.tables_limits import LEASE_MAY_BE_TOLD
from billing_server.store.told_rows import ToldRows
from billing_server.store.upsert import conflict_insert

NEWS_CHANNEL = "lease_news"
"""Channel on which PostgreSQL tells every server of customers whose leases have news."""

_OPEN = lease.c.state != LeaseState.CLOSED.value
_LEASE_FIELDS = tuple(field.name for field in fields(Lease) if field.name not in {"key", "state"})


class SqlLeaseRepository(ToldRows):
    """Implements the port of leases.

    Args:
        connection: of the transaction.
        announced: collects the customers that are to be announced once it is committed.
    """

    def __init__(self, connection: Connection, *, announced: set[str]) -> None:
        self._connection = connection
        self._announced = announced

    def by_id(self, lease_ids: Collection[bytes]) -> dict[bytes, Lease]:
        """Returns those leases that exist."""
        found: dict[bytes, Lease] = {}
        for some in chunks(sorted(set(lease_ids))):
            found |= {
                each.lease_id: each
                for each in self._leases(lease.select().where(lease.c.lease_id.in_(some)))
            }
        return found

    def of_windows(self, keys: Collection[WindowKey]) -> tuple[Lease, ...]:
        """Returns the leases of windows that are not closed, by window and id."""
        name = tuple_(lease.c.customer_id, lease.c.limit_key, lease.c.window_id)
        found: list[Lease] = []
        for some in chunks(sorted(set(keys))):
            found += self._leases(lease.select().where(name.in_(some), _OPEN))
        return tuple(found)

    def of_agent(self, agent_ref: int) -> tuple[Lease, ...]:
        """Returns the leases of a disk that are not closed, by window and id."""
        return self._leases(lease.select().where(lease.c.agent_ref == agent_ref, _OPEN))

    def to_tell(
        self, agent_ref: int, *, told_in: int, expiring_before: datetime
    ) -> tuple[Lease, ...]:
        """Returns the leases of which a disk is to be told."""
        is_live = lease.c.state == LeaseState.LIVE.value
        is_due = or_(
            lease.c.told_in.is_(None),
            lease.c.told_in == told_in,
            and_(is_live, lease.c.expire_time < expiring_before),
        )
        return self._leases(
            lease.select().where(
                lease.c.agent_ref == agent_ref, text(f"({LEASE_MAY_BE_TOLD})"), is_due
            )
        )

    def move(self, agent_ref: int, *, to_ref: int) -> None:
        """Gives the leases of a disk to the row that stands for it from now on."""
        self._connection.execute(
            lease.update().where(lease.c.agent_ref == agent_ref).values(agent_ref=to_ref)
        )

    def put(self, leases: Sequence[Lease]) -> None:
        """Writes leases, new or over what is there."""
        if not leases:
            return
        statement = conflict_insert(self._connection, lease)
        names = [column.name for column in lease.c if column.name != "lease_id"]
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["lease_id"],
                set_={name: statement.excluded[name] for name in names},
            ),
            [_lease_values(each) for each in leases],
        )

    def tell(self, leases: Sequence[Lease]) -> None:
        """Marks leases as told; one that was changed since it was read stays to be told."""
        tell_leases(self._connection, leases)

    def released_rest(self, key: WindowKey) -> int:
        """Returns what may still be used of leases that an operator released."""
        return int(self._connection.execute(released_rest(key)).scalar_one())

    def silent(self, *, before: datetime, after: bytes, limit: int) -> tuple[Lease, ...]:
        """Returns live leases of running windows whose agents have not synced since, by id."""
        rows = self._connection.execute(silent_leases(before=before, after=after, limit=limit))
        return tuple(_lease_from_row(row) for row in rows)

    def left(self, *, ended_before: datetime, limit: int) -> tuple[Lease, ...]:
        """Returns up to `limit` leases that are not closed although their window has ended."""
        return self._leases(left_leases(ended_before=ended_before, limit=limit))

    def forget_lost_wants(self, *, silent_before: datetime, ephemeral_before: datetime) -> None:
        """Forgets what agents want that were not heard of since."""
        forget_lost_wants(
            self._connection, silent_before=silent_before, ephemeral_before=ephemeral_before
        )

    def totals(self) -> tuple[LeaseTotal, ...]:
        """Returns the sums of leases that are not closed, by limit key and state."""
        return tuple(
            LeaseTotal(
                limit_key=row[0],
                state=LeaseState(row[1]),
                lease_count=int(row[2]),
                rest=int(row[3]),
            )
            for row in self._connection.execute(lease_totals())
        )

    def purge(self, *, ended_before: datetime, limit: int) -> int:
        """Forgets up to `limit` closed leases that ended before an instant."""
        return purge_leases(self._connection, ended_before=ended_before, limit=limit)

    def wants(self, pairs: Collection[tuple[str, str]]) -> tuple[LeaseWant, ...]:
        """Returns every disk's demand for limits, named by customer and key."""
        columns = lease_want.c
        name = tuple_(columns.customer_id, columns.limit_key)
        found: list[LeaseWant] = []
        for some in chunks(sorted(set(pairs))):
            statement = lease_want.select().where(name.in_(some)).order_by(columns.agent_ref)
            found += [LeaseWant(**row._mapping) for row in self._connection.execute(statement)]
        return tuple(found)

    def wants_of_agent(self, agent_ref: int) -> dict[tuple[str, str], LeaseWant]:
        """Returns the demand of one disk by customer and key."""
        statement = lease_want.select().where(lease_want.c.agent_ref == agent_ref)
        wants = [LeaseWant(**row._mapping) for row in self._connection.execute(statement)]
        return {(want.customer_id, want.limit_key): want for want in wants}

    def put_wants(self, wants: Sequence[LeaseWant]) -> None:
        """Writes demand, new or over what is there."""
        self._upsert(
            lease_want,
            index=("customer_id", "limit_key", "agent_ref"),
            rows=[_fields_of(want) for want in wants],
        )

    def drop_wants(self, agent_ref: int, *, pairs: Collection[tuple[str, str]]) -> None:
        """Forgets demand of a disk."""
        columns = lease_want.c
        name = tuple_(columns.customer_id, columns.limit_key)
        for some in chunks(sorted(set(pairs))):
            self._connection.execute(
                lease_want.delete().where(columns.agent_ref == agent_ref, name.in_(some))
            )

    def watch(self, watches: Sequence[TermsWatch]) -> None:
        """Writes what disks were told, new or over what is there."""
        self._upsert(
            terms_watch,
            index=("agent_ref", "customer_id"),
            rows=[_fields_of(watch) for watch in watches],
        )

    def stale_watches(
        self, agent_ref: int, *, catalog_revision: int, now: datetime, limit: int
    ) -> tuple[TermsWatch, ...]:
        """Returns watches of a disk whose customer, catalog or window has changed since."""
        columns = terms_watch.c
        has_changed = or_(
            columns.catalog_revision != catalog_revision,
            columns.valid_until <= now,
            customer.c.revision != columns.customer_revision,
            and_(customer.c.id.is_(None), columns.customer_revision != 0),
        )
        return self._watches(
            select(terms_watch)
            .outerjoin(customer, customer.c.id == columns.customer_id)
            .where(columns.agent_ref == agent_ref, has_changed)
            .order_by(columns.customer_id)
            .limit(limit)
        )

    def watches(self, agent_ref: int, *, customer_ids: Collection[str]) -> dict[str, TermsWatch]:
        """Returns watches of a disk by customer."""
        found: dict[str, TermsWatch] = {}
        for some in chunks(sorted(set(customer_ids))):
            statement = select(terms_watch).where(
                terms_watch.c.agent_ref == agent_ref, terms_watch.c.customer_id.in_(some)
            )
            found |= {watch.customer_id: watch for watch in self._watches(statement)}
        return found

    def watches_after(
        self, agent_ref: int, *, terms_revision: int, limit: int
    ) -> tuple[TermsWatch, ...]:
        """Returns watches of a disk that were told after a revision, in the order of revisions."""
        columns = terms_watch.c
        return self._watches(
            select(terms_watch)
            .where(columns.agent_ref == agent_ref, columns.terms_revision > terms_revision)
            .order_by(columns.terms_revision)
            .limit(limit)
        )

    def last_revision(self, agent_ref: int) -> int:
        """Returns the highest revision under which a disk was told of a customer; 0: of none."""
        statement = select(func.coalesce(func.max(terms_watch.c.terms_revision), 0)).where(
            terms_watch.c.agent_ref == agent_ref
        )
        return int(self._connection.execute(statement).scalar_one())

    def watchers(self, customer_id: str) -> tuple[int, ...]:
        """Returns the disks that watch a customer."""
        statement = (
            select(terms_watch.c.agent_ref)
            .where(terms_watch.c.customer_id == customer_id)
            .order_by(terms_watch.c.agent_ref)
        )
        return tuple(self._connection.execute(statement).scalars())

    def forget_agent(self, agent_ref: int) -> None:
        """Forgets what a disk wants and watches."""
        for table in (lease_want, terms_watch, settled_elsewhere):
            self._connection.execute(delete(table).where(table.c.agent_ref == agent_ref))

    def add_repeated_debits(self, debits: Collection[RepeatedDebit]) -> frozenset[RepeatedDebit]:
        """Notes debits as taken back; returns those that were not noted before."""
        return add_repeated_debits(self._connection, debits)

    def announce(self, customer_ids: Collection[str]) -> None:
        """Wakes waiting syncs of agents that use these customers, once the unit is committed."""
        fresh = set(customer_ids) - self._announced
        self._announced |= fresh
        if self._connection.dialect.name == "postgresql":
            for customer_id in sorted(fresh):
                self._connection.execute(
                    text("SELECT pg_notify(:channel, :customer_id)"),
                    {"channel": NEWS_CHANNEL, "customer_id": customer_id},
                )

    def announce_terms(self, customer_ids: Collection[str]) -> None:
        """Wakes all that were told the terms of these customers too, used or not."""
        disk_ids = disks_told_of(self._connection, customer_ids)
        self.announce({*customer_ids, *map(news_of_disk, disk_ids)})

    def _leases(self, statement: Select[Any]) -> tuple[Lease, ...]:
        columns = lease.c
        ordered = statement.order_by(
            columns.customer_id, columns.limit_key, columns.window_id, columns.lease_id
        )
        return tuple(_lease_from_row(row) for row in self._connection.execute(ordered))

    def _watches(self, statement: Select[Any]) -> tuple[TermsWatch, ...]:
        return tuple(TermsWatch(**row._mapping) for row in self._connection.execute(statement))

    def _upsert(self, table: Any, *, index: Sequence[str], rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        statement = conflict_insert(self._connection, table)
        changed = [column.name for column in table.c if column.name not in index]
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(index),
                set_={name: statement.excluded[name] for name in changed},
            ),
            rows,
        )


def _lease_from_row(row: Row[Any]) -> Lease:
    return Lease(
        key=WindowKey(row.customer_id, row.limit_key, row.window_id),
        state=LeaseState(row.state),
        **{name: getattr(row, name) for name in _LEASE_FIELDS},
    )


def _fields_of(row: LeaseWant | TermsWatch) -> dict[str, Any]:
    """Returns the columns of a row; `asdict` copies every value and takes ten times as long."""
    return {name: getattr(row, name) for name in row.__slots__}


def _lease_values(kept: Lease) -> dict[str, Any]:
    return {
        **kept.key._asdict(),
        "state": kept.state.value,
        **{name: getattr(kept, name) for name in _LEASE_FIELDS},
    }
