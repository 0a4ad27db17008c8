"""The upcoming invoice is live, whole, and shows what has no price."""

from typing import Any

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.domain.subscription.model import Customer
from billing_server.services import period_usage
from billing_server.services.create_customer import create_customer
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, TAXED, Usage, apply, make_context


def test_it_grows_with_usage_and_shows_what_no_price_matches(store: SqlStore) -> None:
    """R32: usage of a model without a price is counted, rated 0 and shown."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    assert upcoming_invoice(context, customer_id="acme")["total"] == "20.00"
    usage.send("1500", at="2026-02-01T00:00:00Z")
    usage.send("77", at="2026-02-01T00:00:00Z", dimensions={"model": "new"})
    draft = upcoming_invoice(context, customer_id="acme")
    # 20.00 for the next period, and (1,500 − 1,000) × 0.01 = 5.00.
    assert (draft["state"], draft["number"], draft["total"]) == ("draft", None, "25.00")
    assert draft["unpriced"] == [
        {"meter": "tokens", "dimensions": {"model": "new"}, "quantity": "77", "unit": "token"}
    ]


def test_it_holds_all_subscriptions_together_or_one_alone(store: SqlStore) -> None:
    """A quantity is charged once: by the subscription that started first."""
    context = make_context(store)
    second = "  - {id: sub-2, customer: acme, plan: pro, start: 2026-02-10T00:00:00Z}\n"
    apply(context, CATALOG.rstrip() + "\n" + second)
    Usage(context).send("1500", at="2026-02-11T00:00:00Z")
    together = upcoming_invoice(context, customer_id="acme")
    alone = upcoming_invoice(context, customer_id="acme", subscription_id="sub-2")
    assert together["total"] == "45.00"
    assert {line["subscription"] for line in together["lines"]} == {"sub-1", "sub-2"}
    assert (alone["total"], alone["unpriced"]) == ("20.00", [])


def test_a_customer_without_subscription_has_nothing_to_pay(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG.split("customers:")[0])
    create_customer(context, customer=Customer(id="new"))
    Usage(context).send("9", at="2026-01-31T09:00:00Z", customer="new")
    draft = upcoming_invoice(context, customer_id="new")
    assert (draft["lines"], draft["total"], draft["currency"]) == ([], "0.00", None)
    assert [entry["quantity"] for entry in draft["unpriced"]] == ["9"]
    apply(context, CATALOG)
    assert list(draft) == list(upcoming_invoice(context, customer_id="acme"))
    assert (draft["period"], draft["closing"], draft["credits_applied"]) == (None, [], "0.00")
    assert draft["customer_details"] == {"name": "new", "timezone": "UTC"}


def test_an_unknown_customer_is_told(store: SqlStore) -> None:
    with pytest.raises(NotFoundError):
        upcoming_invoice(make_context(store), customer_id="nobody")


def test_r75_in_the_grace_the_ended_period_is_drafted_beside_the_present_one(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    usage.send("77", at="2026-02-11T00:00:00Z", dimensions={"model": "new"})
    advance_clock(context, to=parse_instant("2026-02-28T10:30:00Z"))
    usage.send("3000", at="2026-02-28T10:20:00Z")
    draft = upcoming_invoice(context, customer_id="acme")
    # (3,000 − 1,000) × 0.01 = 20.00 and the fee of the period after.
    assert draft["period"]["start"] == "2026-02-28T10:00:00Z"
    assert (draft["total"], draft["unpriced"]) == ("40.00", [])
    (closing,) = draft["closing"]
    assert closing["period"]["start"] == "2026-01-31T10:00:00Z"
    assert closing["total"] == "25.00"
    assert [entry["quantity"] for entry in closing["unpriced"]] == ["77"]
    advance_clock(context, to=parse_instant("2026-02-28T11:00:00Z"))
    issued = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter()).entries[-1]
    assert (issued["lines"], issued["inputs_sha256"]) == (
        closing["lines"],
        closing["inputs_sha256"],
    )
    after = upcoming_invoice(context, customer_id="acme")
    assert (after["closing"], after["total"]) == ([], "40.00")


def test_usage_stands_in_one_draft_while_invoices_are_behind(store: SqlStore) -> None:
    """Late usage stands on the invoice that is issued next (R76)."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    # The clock alone moves: nothing is closed any more.
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant("2026-05-10T00:00:00Z"))
    for month in ("02", "03", "04", "05"):
        usage.send("1500", at=f"2026-{month}-05T00:00:00Z")
    draft = upcoming_invoice(context, customer_id="acme")
    drafts = [*draft["closing"], draft]
    assert [
        [(line["kind"], line["quantity"]) for line in each["lines"] if line["kind"] != "recurring"]
        for each in drafts
    ] == [
        [("usage", "1500"), ("late_usage", "1500")],
        [("usage", "1500")],
        [("usage", "1500")],
    ]


def test_what_usage_costs_the_seller_is_shown_beside_what_it_charges(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG.replace('"0.01"', '"0.01", unit_cost: "0.002"'))
    assert upcoming_invoice(context, customer_id="acme")["margin"] is None
    Usage(context).send("1500", at="2026-02-01T00:00:00Z")
    draft = upcoming_invoice(context, customer_id="acme")
    # 1,500 were bought at 0.002, the 1,000 that are included among them; 500 are sold at 0.01.
    assert (draft["margin"]["cost"], draft["margin"]["charged"]) == ("3.00", "5.00")
    assert (draft["margin"]["margin"], draft["margin"]["margin_rate"]) == ("2.00", "0.4")
    assert "unit_cost" not in str(draft["lines"])


def test_r43_the_tax_of_several_subscriptions_is_that_of_their_invoices(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    text = TAXED.replace('"20.00"', '"0.12"').replace('"0.19"', '"0.20"')
    second = "  - {id: sub-2, customer: acme, plan: pro, start: 2026-02-10T00:00:00Z}\n"
    apply(context, text.replace("\ntax_rates", second + "tax_rates"))
    draft = upcoming_invoice(context, customer_id="acme")
    # 0.024 on each of two invoices, 0.02 each; on 0.24 together it would be 0.05.
    (tax,) = draft["tax"]
    assert (tax["base"], tax["amount"], draft["tax_total"], draft["total"]) == (
        "0.24",
        "0.04",
        "0.04",
        "0.28",
    )
    assert draft["estimate"] is None or draft["estimate"]["tax_total"] == "0.04"


def test_r31_the_events_of_a_price_by_event_are_read_once_for_amount_and_estimate(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(memory_store)
    by_event = 'model: percentage, rate: "0.01", fixed_per_event: "0.30"'
    plain = 'included: "1000", model: per_unit, unit_price: "0.01"'
    apply(context, CATALOG.replace(plain, by_event))
    usage = Usage(context)
    for value in ("100", "200"):
        usage.send(value, at="2026-02-05T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    read: list[object] = []
    events_of_charges = period_usage.events_of_charges

    def counted(*args: Any, **kwargs: Any) -> Any:
        read.append(args)
        return events_of_charges(*args, **kwargs)

    monkeypatch.setattr(period_usage, "events_of_charges", counted)
    draft = upcoming_invoice(context, customer_id="acme")
    # 3.00 and two fees of 0.30, with the next period's 20.00; events do not go on at their pace.
    assert (draft["total"], draft["estimate"]["total"]) == ("23.60", "23.60")
    assert len(read) == 1
