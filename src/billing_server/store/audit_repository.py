"""The audit in the database: written once, never changed."""

from sqlalchemy import Connection

from billing_server.domain.ports.limits import AuditEntry
from billing_server.store.tables import audit_entry


class SqlAuditRepository:
    """Implements the port of the audit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: AuditEntry) -> None:
        """Writes an entry."""
        self._connection.execute(
            audit_entry.insert().values(
                actor=entry.actor,
                action=entry.action,
                subject=entry.subject,
                detail=dict(entry.detail),
                create_time=entry.create_time,
            )
        )

    def page(self, *, before: int | None, limit: int) -> tuple[AuditEntry, ...]:
        """Returns up to `limit` entries, the newest first, those before a number."""
        statement = audit_entry.select().order_by(audit_entry.c.entry_no.desc()).limit(limit)
        if before is not None:
            statement = statement.where(audit_entry.c.entry_no < before)
        return tuple(AuditEntry(**row._mapping) for row in self._connection.execute(statement))
