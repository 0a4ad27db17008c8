"""Usage that waits for an operator is listed with the reason."""

import pytest

from billing_server.services.list_quarantine import list_conflicts, list_quarantine
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def test_waiting_events_are_listed_in_pages_with_what_they_carry(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1", at="2026-02-01T00:00:00Z", customer="nobody")
    usage.send("2.5", at="2026-02-01T00:00:00Z")
    usage.send("3", at="2026-02-01T00:00:00Z", meter="unheard-of")
    first = list_quarantine(context, page=PageRequest(limit=2))
    rest = list_quarantine(context, page=PageRequest(limit=2, cursor=first.next_cursor))
    found = [*first.entries, *rest.entries]
    assert {(event.customer_id, event.reason, *event.quantities.items()) for event in found} == {
        ("nobody", "CUSTOMER_UNKNOWN", ("tokens", "1")),
        ("acme", "QUANTITY_TOO_PRECISE", ("tokens", "2.5")),
        ("acme", "METER_UNKNOWN", ("unheard-of", "3")),
    }
    of_acme = list_quarantine(context, page=PageRequest(), customer_id="acme")
    assert len(of_acme.entries) == 2


def test_a_reused_event_id_is_listed_as_a_conflict(store: SqlStore) -> None:
    """R13."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    for tokens in ("1", "1.0", "2"):
        usage.send(tokens, at="2026-02-01T00:00:00Z", event_id="twice")
    (conflict,) = list_conflicts(context, limit=10)
    assert (conflict.event_id, conflict.quantities) == ("twice", {"tokens": "2"})


def test_a_cursor_of_another_list_is_refused(store: SqlStore) -> None:
    with pytest.raises(ValidationError) as refused:
        list_quarantine(make_context(store), page=PageRequest(cursor="YQ"))
    assert refused.value.reason == "CURSOR_MALFORMED"
