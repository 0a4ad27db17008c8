"""Usage that no price charges is told once, and closed once it would be priced. R32."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing_server.domain.ports.alerts import AlertState, UnpricedAlert
from billing_server.domain.ports.customers import StartInvoice
from billing_server.services import unpriced_alerts as module
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.unpriced_alerts import (
    AlertWatch,
    close_alerts_promptly,
    close_priced_alerts,
    list_alerts,
)
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from metering.errors import ConflictError, ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context

AT = "2026-02-02T00:00:00Z"
NEW_PRICE = """      - {key: new-model, kind: usage, meter: tokens, where: {model: new},
         model: per_unit, unit_price: "0.5"}
"""
PRICED = CATALOG.replace(
    "    prices:\n", "    effective_from: 2026-01-31T10:00:00Z\n    prices:\n"
).replace("customers:\n", NEW_PRICE + "customers:\n")
"""The same plan with a price for the model `new`, from the start of the open period on."""


@pytest.fixture
def context(memory_store: SqlStore) -> ServiceContext:
    context = make_context(memory_store)
    apply(context, CATALOG)
    return context


def alerts(context: ServiceContext, **wanted: Any) -> tuple[UnpricedAlert, ...]:
    return list_alerts(context, page=PageRequest(), **wanted).entries


def test_r32_a_new_model_is_told_once_priced_anew_and_closed_when_its_price_arrives(
    context: ServiceContext,
) -> None:
    usage = Usage(context)
    usage.send("100", at=AT, dimensions={"model": "new"})
    usage.send("20", at="2026-02-03T00:00:00Z", dimensions={"model": "new"})
    usage.send("7", at=AT)
    (told,) = alerts(context)
    assert (told.customer_id, told.meter_key, told.dimensions, told.state) == (
        "acme",
        "tokens",
        {"model": "new"},
        AlertState.OPEN,
    )
    assert told.usage_time == parse_instant(AT)
    assert close_priced_alerts(context) == 0
    apply(context, PRICED)
    (closed,) = alerts(context)
    assert (closed.alert_id, closed.close_time) == (told.alert_id, context.clock.now())
    upcoming = upcoming_invoice(context, customer_id="acme")
    # 120 tokens of the new model at 0.5.
    charged = {line["price"]: line["amount"] for line in upcoming["lines"]}
    assert charged["new-model"] == "60.00"
    assert upcoming["unpriced"] == []


def test_a_price_that_only_new_subscriptions_get_closes_nothing_r37(
    context: ServiceContext,
) -> None:
    Usage(context).send("100", at=AT, dimensions={"model": "new"})
    apply(
        context,
        PRICED.replace("2026-01-31T10:00:00Z\n    prices", "2026-02-20T00:00:00Z\n    prices"),
    )
    assert [alert.state for alert in alerts(context)] == [AlertState.OPEN]


def test_a_subscription_that_prices_the_usage_closes_its_customers_alerts(
    context: ServiceContext,
) -> None:
    apply(context, "customers: [{id: beta}, {id: gamma}]")
    usage = Usage(context)
    usage.send("1", at=AT, customer="beta")
    usage.send("1", at=AT, customer="gamma")
    assert len(alerts(context, state=AlertState.OPEN)) == 2
    apply(
        context,
        "subscriptions: [{id: sub-b, customer: beta, plan: pro, start: 2026-01-31T10:00:00Z}]",
    )
    assert [each.customer_id for each in alerts(context, state=AlertState.OPEN)] == ["gamma"]
    assert [each.customer_id for each in alerts(context, state=AlertState.CLOSED)] == ["beta"]
    assert alerts(context, customer_id="acme") == ()


def test_what_is_told_is_told_again_once_it_was_priced_in_between(
    context: ServiceContext,
) -> None:
    usage = Usage(context)
    usage.send("1", at=AT, dimensions={"model": "new"})
    apply(context, PRICED)
    # Before the subscription's start nothing is charged (R21): unpriced usage of the same series.
    usage.send("1", at="2026-01-30T00:00:00Z", dimensions={"model": "new"})
    assert [each.state for each in alerts(context)] == [AlertState.CLOSED, AlertState.OPEN]


def test_alerts_come_in_pages_with_a_cursor(context: ServiceContext) -> None:
    usage = Usage(context)
    for model in ("a", "b", "c"):
        usage.send("1", at=AT, dimensions={"model": model})
    first = list_alerts(context, page=PageRequest(limit=2))
    rest = list_alerts(context, page=PageRequest(limit=2, cursor=first.next_cursor))
    models = [each.dimensions["model"] for each in (*first.entries, *rest.entries)]
    assert models == ["a", "b", "c"]
    assert rest.next_cursor is None
    with pytest.raises(ValidationError, match="cursor"):
        list_alerts(context, page=PageRequest(cursor="eA"))


def test_many_alerts_are_closed_batch_by_batch(
    context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    apply(context, "customers: [{id: beta}]")
    usage = Usage(context)
    for number in range(5):
        usage.send("1", at=AT, customer="beta", dimensions={"model": "large", "n": str(number)})
    with context.store.write() as unit:
        known = unit.subscriptions.get("sub-1")
        assert known is not None
        # Written past the use case, which would close the alerts by itself.
        unit.subscriptions.add(
            replace(known, id="sub-b", customer_id="beta"),
            create_time=parse_instant(AT),
            start_invoice=StartInvoice.NOT_DUE,
        )
    assert close_priced_alerts(context, should_stop=lambda: True) == 0
    assert close_priced_alerts(context) == 5


def test_the_terms_of_a_customer_are_read_once_however_its_alerts_lie(
    context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    apply(context, "customers: [{id: beta}, {id: gamma}]")
    usage = Usage(context)
    for number in range(3):
        for customer in ("gamma", "beta"):
            usage.send("1", at=AT, customer=customer, dimensions={"n": str(number)})
    read: list[str] = []

    def noted(unit: Any, *, customer_id: str) -> CustomerTerms:
        read.append(customer_id)
        return load_customer_terms(unit, customer_id=customer_id)

    monkeypatch.setattr(module, "load_customer_terms", noted)
    assert close_priced_alerts(context) == 0
    assert read == ["beta", "gamma"]


def test_a_busy_database_leaves_closing_to_the_next_look(
    context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> int:
        raise ConflictError(reason="DATABASE_BUSY", message="busy")

    monkeypatch.setattr(module, "close_priced_alerts", busy)
    close_alerts_promptly(context)


def test_the_watch_looks_again_after_a_minute_or_a_change_of_the_catalog(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = ManualClock(parse_instant(AT))
    context = replace(make_context(memory_store), wall_clock=wall)
    apply(context, CATALOG)
    looks: list[int] = []
    monkeypatch.setattr(module, "close_priced_alerts", lambda *_, **__: looks.append(1) or 0)
    watch = AlertWatch(context)
    watch.look()
    watch.look()
    assert len(looks) == 1
    wall.advance(timedelta(seconds=60))
    watch.look()
    assert len(looks) == 2
    monkeypatch.undo()
    apply(context, "meters: [{key: other, aggregation: sum}]")
    assert watch.look() == 0


def test_a_price_that_begins_by_itself_closes_the_alert_at_the_next_look(
    context: ServiceContext,
) -> None:
    apply(
        context,
        "customers: [{id: beta}]\n"
        "subscriptions: [{id: sub-b, customer: beta, plan: pro, start: 2026-02-05T00:00:00Z}]",
    )
    Usage(context).send("1", at=AT, customer="beta")
    watch = AlertWatch(context)
    assert watch.look() == 0
    advance_clock(context, to=parse_instant("2026-02-05T00:00:00Z"))
    assert close_priced_alerts(context) == 1
