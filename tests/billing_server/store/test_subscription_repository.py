"""Subscriptions on both databases."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy.event import listen

from billing_server.domain.ports.customers import DueKey
from billing_server.domain.subscription.model import AttachedAddon, Override, VersionMove
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.clock import parse_instant
from tests.billing_server.store.catalog_rows import subscription, write_rows

EARLY = subscription("b", start="2026-01-31T10:00:00Z")
SAME = subscription("c", start="2026-01-31T10:00:00Z")
LATE = subscription("a", start="2026-03-01T00:00:00Z")


def test_subscriptions_are_read_back_in_their_orders(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit, EARLY, LATE, SAME)
        assert unit.subscriptions.get("b") == EARLY
        assert unit.subscriptions.get("x") is None
        assert unit.subscriptions.of_customer("acme") == (EARLY, SAME, LATE)
        assert unit.subscriptions.page(after=None, limit=2) == (LATE, EARLY)
        assert unit.subscriptions.page(after="b", limit=2) == (SAME,)
        assert unit.subscriptions.page(after=None, limit=2, customer_id="nobody") == ()


def test_due_starts_are_walked_by_time_and_id_until_they_are_cleared(store: SqlStore) -> None:
    until = parse_instant("2026-02-28T00:00:00Z")
    with store.write() as unit:
        write_rows(unit, EARLY, LATE, SAME)
        first = unit.subscriptions.starts_due(until=until, after=None, limit=1)
        assert first == (EARLY,)
        after = DueKey(EARLY.start, "b")
        assert unit.subscriptions.starts_due(until=until, after=after, limit=9) == (SAME,)
        assert unit.subscriptions.is_start_invoice_due("b")
        unit.subscriptions.clear_start_invoice("b")
        assert not unit.subscriptions.is_start_invoice_due("b")
        assert unit.subscriptions.starts_due(until=until, after=None, limit=9) == (SAME,)
        assert unit.subscriptions.next_start_due(after=EARLY.start) == LATE.start
        assert unit.subscriptions.next_start_due(after=LATE.start) is None


def test_subscriptions_of_a_plan_are_walked_and_moved_to_a_version(store: SqlStore) -> None:
    """R32: prices that were added to it charge from their own start."""
    starts = {"new": parse_instant("2026-03-01T00:00:00Z")}
    with store.write() as unit:
        write_rows(unit, EARLY, LATE, SAME)
        plan = EARLY.plan_key
        assert unit.subscriptions.on_plan(plan, after=None, limit=2) == (LATE, EARLY)
        assert unit.subscriptions.on_plan(plan, after="b", limit=2) == (SAME,)
        assert unit.subscriptions.on_plan("other", after=None, limit=2) == ()
        start = parse_instant("2026-04-01T00:00:00Z")
        changed = replace(
            EARLY,
            price_starts=starts,
            quantities={"seats": Decimal(3)},
            moves=(VersionMove(start=start, version=2),),
            overrides=(Override(start=start, price="base", fields={"amount": "9.5"}),),
            addons=(AttachedAddon(key="help", version=1, start=EARLY.start, end=start),),
        )
        unit.subscriptions.update_history(changed, update_time=EARLY.start)
        assert unit.subscriptions.get("b") == changed


def test_due_starts_are_found_by_the_index_that_passes_invoiced_ones_by(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    asked: list[tuple[str, Any]] = []
    with store.read() as unit:
        listen(
            unit.connection,
            "before_cursor_execute",
            lambda *call: asked.append((call[2], call[3])),
        )
        unit.subscriptions.starts_due(until=EARLY.start, after=None, limit=9)
        unit.subscriptions.starts_due(until=EARLY.start, after=DueKey(EARLY.start, "b"), limit=9)
        unit.subscriptions.next_start_due(after=EARLY.start)
        queries = [(query, values) for query, values in asked if "subscription" in query]
        assert len(queries) == 3
        for query, values in queries:
            plan = unit.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()
            # It is asked for every second, and all subscriptions that ever were are many.
            assert ["INDEX ix_subscription_start_due" in row.detail for row in plan] == [True]
    store.close()
