"""`billing-server reprice`."""

from billing_server.services.move_clock import advance_clock
from metering.clock import parse_instant
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, TAXED, Usage, apply

WORDS = ("reprice", "--plan", "pro", "--from", "2026-01-31T10:00:00Z")


def test_proposals_are_a_table_and_json_and_open_periods_are_priced_anew(
    commands: Commands,
) -> None:
    context = commands.api.context
    usage = Usage(context)
    usage.send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    usage.send("2000", at="2026-03-02T00:00:00Z")
    apply(context, CATALOG.replace('"0.01"', '"0.004"'))
    told = commands.output(*WORDS, "--dry-run")
    assert "open periods, which would be priced anew" in told
    assert "credit note 3.00 USD" in told
    assert told.endswith("credit notes in all: 3.00 USD\n")
    (found,) = commands.json(*WORDS, "--dry-run", "--version", "2")
    assert [each["difference"] for each in found["open"]] == ["-6.00"]
    done = commands.output(*WORDS)
    assert "open periods, which are priced anew" in done
    # 1,000 × 0.004 in place of 0.01, and the next fee.
    (customer,) = commands.json("customers", "list")
    assert customer["upcoming_invoice"]["total"] == "24.00"


def test_a_subscription_that_cannot_be_corrected_is_told_with_the_reason(
    commands: Commands,
) -> None:
    text = CATALOG.replace("billing_period: month", "billing_period: year")
    apply(commands.api.context, text)
    told = commands.output(*WORDS)
    assert "sub-1 stays as it is: BILLING_PERIOD_CHANGES" in told


def test_the_tax_of_proposed_notes_stands_beside_them(commands: Commands) -> None:
    context = commands.api.context
    apply(context, TAXED)
    Usage(context).send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    apply(context, TAXED.replace('"0.01"', '"0.004"'))
    told = commands.output(*WORDS, "--dry-run")
    assert told.endswith("credit notes in all: 3.00 USD and 0.57 tax\n")
