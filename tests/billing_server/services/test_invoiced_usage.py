"""Usage on an invoice is found before another subscription takes it over. On both databases."""

from dataclasses import replace
from datetime import datetime

from billing_server.services.invoiced_usage import InvoicedClaim, find_invoiced_claim, meters_of
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, apply, make_context

FEBRUARY_END = parse_instant("2026-02-28T10:00:00Z")


def _claim(store: SqlStore, *, start: str, meters: set[str], sort_id: str) -> InvoicedClaim | None:
    context = make_context(store)
    apply(context, CATALOG)
    advance_clock(context, to=parse_instant("2026-03-05T00:00:00Z"))
    wanted: datetime = parse_instant(start)
    first = show_subscription(context, subscription_id="sub-1")
    with store.read() as unit:
        return find_invoiced_claim(
            unit,
            subscription=replace(first, id=sort_id, start=wanted),
            meters=meters,
            start=wanted,
        )


def test_r32_who_has_invoiced_it_is_named_with_the_meters_and_the_end(store: SqlStore) -> None:
    found = _claim(store, start="2026-01-31T09:59:00Z", meters={"tokens", "x"}, sort_id="sub-9")
    assert found == InvoicedClaim("sub-1", ("tokens",), FEBRUARY_END)


def test_r32_who_comes_after_it_takes_nothing(store: SqlStore) -> None:
    assert _claim(store, start="2026-01-31T10:00:00Z", meters={"tokens"}, sort_id="sub-9") is None


def test_r32_the_smaller_id_comes_first_in_the_same_minute(store: SqlStore) -> None:
    found = _claim(store, start="2026-01-31T10:00:00Z", meters={"tokens"}, sort_id="sub-0")
    assert found is not None


def test_r32_other_meters_are_free(store: SqlStore) -> None:
    assert meters_of(()) == frozenset()
    assert _claim(store, start="2026-01-31T09:00:00Z", meters={"calls"}, sort_id="sub-9") is None
