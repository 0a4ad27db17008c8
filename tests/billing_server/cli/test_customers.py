"""`billing-server customers`."""

from billing_server.cli.customers import held_back_text
from billing_server.services.move_clock import advance_clock
from metering.clock import parse_instant
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, Usage, apply


def test_live_amounts_and_unpriced_usage_are_shown(commands: Commands) -> None:
    usage = Usage(commands.api.context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    usage.send("77", at="2026-02-10T00:00:00Z", dimensions={"model": "new"})
    (listed,) = commands.json("customers", "list")
    assert listed["upcoming_invoice"]["total"] == "25.00"
    assert "25.00 USD" in commands.output("customers", "list")
    shown = commands.json("customers", "show", "acme")
    assert [entry["quantity"] for entry in shown["upcoming_invoice"]["unpriced"]] == ["77"]
    text = commands.output("customers", "show", "acme")
    assert "no price matches: 77 token of tokens model=new" in text


def test_an_ended_period_is_shown_until_it_is_invoiced(commands: Commands) -> None:
    context = commands.api.context
    Usage(context).send("1500", at="2026-02-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-28T10:30:00Z"))
    text = commands.output("customers", "show", "acme")
    ended, upcoming = text.split("upcoming invoice, as of now:")
    assert "ended and not invoiced yet, as of now:" in ended
    assert "2026-01-31T10:00:00Z – 2026-02-28T10:00:00Z" in ended
    assert "2026-02-28T10:00:00Z – 2026-03-31T10:00:00Z" in upcoming


def test_a_customer_without_a_subscription_is_listed(commands: Commands) -> None:
    commands.api.post("/v1/customers", {"id": "new"})
    assert "new" in commands.output("customers", "list")
    assert "no subscription runs" in commands.output("customers", "show", "new")


def test_an_unknown_customer_is_told(commands: Commands) -> None:
    result = commands.run("customers", "show", "nobody")
    assert result.exit_code == 1
    assert "there is no customer 'nobody'" in result.stderr


def test_where_the_invoice_is_heading_and_what_it_leaves_are_shown(commands: Commands) -> None:
    context = commands.api.context
    plans, _ = CATALOG.split("customers:")
    apply(context, plans.replace('"0.01"', '"0.02", unit_cost: "0.001"'))
    apply(
        context,
        "customers: [{id: beta}]\n"
        "subscriptions: [{id: sub-b, customer: beta, plan: pro, start: 2026-01-31T10:00:00Z}]",
    )
    Usage(context).send("1500", at="2026-02-10T00:00:00Z", customer="beta")
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    text = commands.output("customers", "show", "beta")
    # Half of the 28 days: 3,000 in all, of which 2,000 are charged at 0.02.
    assert "estimate for the period's end: 60.00 USD, if usage goes on at its pace:" in text
    assert "  Tokens: 3,000 token, 40.00 USD\n" in text
    assert "your cost of usage so far: 1.50 of 10.00 USD charged, margin 8.50 USD" in text
    assert "60.00" in commands.output("customers", "list")


def test_r76_what_is_owed_for_usage_taken_back_after_it_was_invoiced_is_shown(
    commands: Commands,
) -> None:
    """1,500 and 1,000 tokens, 1,000 of them included, cost 15.00; without the 1,000 it is 5.00."""
    context = commands.api.context
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    usage.send("1000", at="2026-02-11T00:00:00Z", event_id="test-run")
    advance_clock(context, to=parse_instant("2026-02-28T12:00:00Z"))
    assert commands.json("customers", "show", "acme")["upcoming_invoice"]["held_back"] == []
    assert "owed" not in commands.output("customers", "show", "acme")
    commands.output("usage", "void", "test-run", "--reason", "a test run")
    upcoming = commands.api.get("/v1/customers/acme/upcoming-invoice")
    assert [(line["price"], line["amount"]) for line in upcoming["held_back"]] == [
        ("tokens", "-10.00")
    ]
    assert upcoming["total"] == "20.00"
    told = commands.output("customers", "show", "acme").splitlines()
    at = told.index(
        "owed to the customer: 10.00 USD, for usage that was taken back after it was invoiced; "
        "it stands on no invoice:"
    )
    assert told[at + 1] == (
        "  Tokens: late usage (5.00 for the whole period less 15.00 invoiced), service from "
        "2026-01-31T10:00:00Z: −10.00 USD"
    )
    # It is owed until something makes up for it, and stands on no invoice meanwhile.
    advance_clock(context, to=parse_instant("2026-03-31T12:00:00Z"))
    upcoming = commands.api.get("/v1/customers/acme/upcoming-invoice")
    assert [line["amount"] for line in upcoming["held_back"]] == ["-10.00"]
    usage.send("400", at="2026-02-12T00:00:00Z")
    upcoming = commands.api.get("/v1/customers/acme/upcoming-invoice")
    assert [line["amount"] for line in upcoming["held_back"]] == ["-6.00"]


def test_what_is_owed_is_told_without_its_tax_and_that_there_is_some() -> None:
    line = {
        "description": "Tokens",
        "amount": "-10.00",
        "service_period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        "tax": {"behavior": "exclusive", "rates": []},
    }
    (first, _) = held_back_text({"held_back": [line], "currency": "EUR"})
    assert first.startswith("owed to the customer: 10.00 EUR and its tax, for usage that")
    line["tax"] = {"behavior": "inclusive", "rates": []}
    (first, _) = held_back_text({"held_back": [line], "currency": "EUR"})
    assert first.startswith("owed to the customer: 10.00 EUR, for usage that")
