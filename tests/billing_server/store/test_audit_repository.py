"""The audit on both databases."""

from dataclasses import replace
from datetime import UTC, datetime

from billing_server.domain.ports.limits import AuditEntry
from billing_server.store.unit_of_work import SqlStore

ENTRY = AuditEntry(
    actor="admin",
    action="agent.forget",
    subject="host-1",
    detail={"leases": 2},
    create_time=datetime(2026, 3, 1, tzinfo=UTC),
)


def test_entries_come_newest_first_in_pages(store: SqlStore) -> None:
    with store.write() as unit:
        for subject in ("a", "b", "c"):
            unit.audit.add(replace(ENTRY, subject=subject))
        newest, second = unit.audit.page(before=None, limit=2)
        assert (newest.subject, second.subject) == ("c", "b")
        (oldest,) = unit.audit.page(before=second.entry_no, limit=9)
        assert replace(oldest, entry_no=0) == replace(ENTRY, subject="a")
