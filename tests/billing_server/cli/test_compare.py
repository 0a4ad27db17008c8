"""`invoices compare` and `customers compare`."""

from billing_server.services.move_clock import advance_clock
from metering.clock import parse_instant
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import TAXED, Usage, apply


def test_usage_and_price_are_told_apart_in_a_table(commands: Commands) -> None:
    context = commands.api.context
    usage = Usage(context)
    usage.send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    usage.send("1200", at="2026-03-02T00:00:00Z")
    text = commands.output("customers", "compare", "acme")
    assert text.startswith(
        "before  INV-000002 2026-01-31T10:00:00Z – 2026-02-28T10:00:00Z: 25.00 USD"
    )
    assert "change of the total −3.00 USD: −3.00 of usage, +0.00 of price" in text
    estimate = commands.json("customers", "compare", "acme", "--estimate")
    assert estimate["basis"] == "estimate"
    first = commands.output("invoices", "compare", "INV-000002")
    assert "before  nothing: there is no earlier invoice" in first
    named = commands.json("invoices", "compare", "INV-000002", "--with", "INV-000001")
    assert named["difference"] == "5.00"


def test_tax_is_told_apart_where_there_is_any(commands: Commands) -> None:
    context = commands.api.context
    apply(context, TAXED)
    Usage(context).send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    text = commands.output("invoices", "compare", "INV-000002", "--with", "INV-000001")
    # The start was invoiced before there was a rate: 20.00, then 25.00 and 4.75 of tax.
    assert "change of the total +9.75 USD: +5.00 of usage, +0.00 of price, +4.75 of tax" in text
