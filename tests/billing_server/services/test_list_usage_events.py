"""The events behind a query, page by page, with what was done to them. On both databases."""

from billing_server.services.correct_usage import amend_usage, void_usage
from billing_server.services.list_usage_events import list_usage_events
from billing_server.services.pages import PageRequest
from billing_server.services.query_usage import UsageQuery
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

END = parse_instant("2026-05-01T00:00:00Z")


def test_events_are_listed_in_order_with_what_they_bring_the_meter(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    for number, minute in enumerate((3, 1, 2, 1)):
        sender.send(
            {"tokens": str(number)},
            at=f"2026-04-10T12:0{minute}:00Z",
            event_id=f"e{number}",
            model="large" if number else "small",
        )
    sender.send({"calls": "1"}, at="2026-04-10T12:01:00Z", event_id="other")
    amend_usage(context, event_id="e1", quantities={"tokens": "9"})
    void_usage(context, event_id="e2")
    query = UsageQuery("acme", "tokens", parse_instant(START), END)
    seen = []
    page = PageRequest(limit=3)
    while True:
        meter, found = list_usage_events(context, query=query, page=page)
        seen += [(each.event.row.event_id, each.value) for each in found.entries]
        if found.next_cursor is None:
            break
        page = PageRequest(cursor=found.next_cursor, limit=3)
    # Hundredths: the amended one brings 9; the void one is not counted.
    assert seen == [("e1", 900), ("e3", 300), ("e0", 0)]
    assert meter.key == "tokens"
    small = UsageQuery("acme", "tokens", parse_instant(START), END, where={"model": "small"})
    _, only = list_usage_events(context, query=small, page=PageRequest())
    assert [each.event.row.event_id for each in only.entries] == ["e0"]
