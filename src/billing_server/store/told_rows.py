"""What disks were told of in which sync: leases, and reservations settled elsewhere."""

from collections.abc import Collection

from sqlalchemy import Connection, or_, select, tuple_

from billing_server.domain.ports.limits import SettledReservation
from billing_server.store.chunks import chunks
from billing_server.store.tables import lease, settled_elsewhere
from billing_server.store.upsert import conflict_insert


class ToldRows:
    """The part of the port of leases that keeps account of what disks were told."""

    _connection: Connection

    def add_settled_elsewhere(
        self, agent_refs: Collection[int], *, reservations: Collection[SettledReservation]
    ) -> None:
        """Notes reservations that were settled at another agent, for disks that may hold them."""
        rows = [
            {"agent_ref": agent_ref, **each._asdict()}
            for agent_ref in sorted(agent_refs)
            for each in sorted(reservations)
        ]
        if rows:
            statement = conflict_insert(self._connection, settled_elsewhere)
            self._connection.execute(statement.on_conflict_do_nothing(), rows)

    def settled_elsewhere(
        self, agent_ref: int, *, told_in: int, limit: int
    ) -> tuple[SettledReservation, ...]:
        """Returns up to `limit` reservations of which a disk is to drop the hold."""
        columns = settled_elsewhere.c
        statement = (
            select(columns.customer_id, columns.reservation_id)
            .where(
                columns.agent_ref == agent_ref,
                or_(columns.told_in.is_(None), columns.told_in == told_in),
            )
            .order_by(columns.customer_id, columns.reservation_id)
            .limit(limit)
        )
        return tuple(SettledReservation(*row) for row in self._connection.execute(statement))

    def tell_settled_elsewhere(
        self, agent_ref: int, *, reservations: Collection[SettledReservation], told_in: int
    ) -> None:
        """Notes in which sync a disk was told of reservations."""
        columns = settled_elsewhere.c
        name = tuple_(columns.customer_id, columns.reservation_id)
        for some in chunks(sorted(set(reservations))):
            self._connection.execute(
                settled_elsewhere.update()
                .where(columns.agent_ref == agent_ref, name.in_(some))
                .values(told_in=told_in)
            )

    def tell_anew(self, agent_ref: int, *, told_in: int) -> None:
        """Notes that a disk may not have heard what answers to a sync told it."""
        for table in (lease, settled_elsewhere):
            self._connection.execute(
                table.update()
                .where(table.c.agent_ref == agent_ref, table.c.told_in == told_in)
                .values(told_in=None)
            )

    def forget_told_elsewhere(self, agent_ref: int, *, told_before: int) -> None:
        """Forgets reservations that a disk was told of in an earlier sync, which it has heard."""
        columns = settled_elsewhere.c
        self._connection.execute(
            settled_elsewhere.delete().where(
                columns.agent_ref == agent_ref, columns.told_in < told_before
            )
        )

    def drop_settled_elsewhere(
        self, agent_ref: int, *, reservations: Collection[SettledReservation]
    ) -> None:
        """Forgets reservations whose hold a disk has dropped."""
        columns = settled_elsewhere.c
        name = tuple_(columns.customer_id, columns.reservation_id)
        for some in chunks(sorted(set(reservations))):
            self._connection.execute(
                settled_elsewhere.delete().where(columns.agent_ref == agent_ref, name.in_(some))
            )
