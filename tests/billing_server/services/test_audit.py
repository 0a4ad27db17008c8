"""The audit in pages, the newest first."""

import pytest

from billing_server.services.audit import list_audit, note_action
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ValidationError
from tests.billing_server.world import make_context


def test_entries_come_newest_first_and_page_by_page(store: SqlStore) -> None:
    context = make_context(store)
    with store.write() as unit:
        for subject in ("a", "b", "c"):
            note_action(
                unit,
                context=context,
                actor="anna",
                action="agent.forget",
                subject=subject,
                detail={},
            )
    first = list_audit(context, page=PageRequest(limit=2))
    assert [entry.subject for entry in first.entries] == ["c", "b"]
    second = list_audit(context, page=PageRequest(cursor=first.next_cursor, limit=2))
    assert [entry.subject for entry in second.entries] == ["a"]
    with pytest.raises(ValidationError, match="cursor"):
        list_audit(context, page=PageRequest(cursor="YQ"))
