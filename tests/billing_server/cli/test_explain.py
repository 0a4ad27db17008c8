"""`invoices explain` and `customers explain`."""

from billing_server.services.move_clock import advance_clock
from metering.clock import parse_instant
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage


def test_an_invoice_is_explained_down_to_its_events(commands: Commands) -> None:
    usage = Usage(commands.api.context)
    usage.send("1500", at="2026-02-01T00:00:00Z", event_id="e1")
    usage.send("250", at="2026-02-02T00:00:00Z", event_id="e2")
    advance_clock(commands.api.context, to=parse_instant("2026-03-01T00:00:00Z"))
    text = commands.output("invoices", "explain", "INV-000002", "--line", "1", "--events")
    assert "      750 × 0.01 = 7.5\n" in text
    assert "    from 2 events:\n" in text
    assert text.endswith("2026-02-02T00:00:00Z             250  e2  model=large\n")
    without = commands.output("invoices", "explain", "INV-000002")
    assert "events of line" not in without
    found = commands.json("invoices", "explain", "INV-000002", "--events", "--limit", "1")
    assert [event["event_id"] for event in found["lines"][1]["events"]] == ["e1"]
    assert "events" not in found["lines"][0]


def test_the_upcoming_invoice_is_explained_alike(commands: Commands) -> None:
    Usage(commands.api.context).send("1500", at="2026-02-01T00:00:00Z")
    text = commands.output("customers", "explain", "acme")
    assert "Invoice (upcoming) of acme" in text
    assert "      included: 1,000, which leaves 500 to charge\n" in text
    assert commands.json("customers", "explain", "acme", "--line", "1")["lines"][0]["line"] == 1


def test_a_line_that_is_not_there_is_refused_with_those_that_are(commands: Commands) -> None:
    result = commands.run("invoices", "explain", "INV-000001", "--line", "4")
    assert result.exit_code == 1
    assert "its lines are 0 to 0" in result.output
