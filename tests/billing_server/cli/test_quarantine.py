"""`billing-server quarantine …`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, Usage


def test_waiting_events_are_listed_with_the_reason(commands: Commands) -> None:
    assert commands.output("quarantine", "list") == "quarantine: none\n"
    Usage(commands.api.context).send("1", at="2026-02-01T00:00:00Z", customer="nobody")
    assert "CUSTOMER_UNKNOWN" in commands.output("quarantine", "list")
    (waiting,) = commands.json("quarantine", "list", "--customer=nobody")
    assert waiting["quantities"] == {"tokens": "1"}


def test_waiting_events_are_tried_again_and_told_in_numbers(commands: Commands) -> None:
    usage = Usage(commands.api.context)
    for customer in ("nobody", "late"):
        usage.send("1", at="2026-02-01T00:00:00Z", customer=customer)
    assert commands.output("quarantine", "redrive") == "0 counted, 2 still waiting\n"
    redriven = commands.json("quarantine", "redrive", "--customer=late")
    assert redriven == {"counted": 0, "waiting": 1}


def test_waiting_events_are_discarded_by_id_and_by_reason(commands: Commands) -> None:
    usage = Usage(commands.api.context)
    for number in range(3):
        usage.send("1", at="2026-02-01T00:00:00Z", customer="nobody", event_id=f"e{number}")
    why = "--reason=load test"
    assert commands.output("quarantine", "discard", "e0", "e1", why) == "2 discarded\n"
    (left,) = commands.json("quarantine", "list", "--waiting-reason=CUSTOMER_UNKNOWN")
    assert left["event_id"] == "e2"
    discarded = commands.json("quarantine", "discard", "--waiting-reason=CUSTOMER_UNKNOWN", why)
    assert discarded == {"discarded": 1}
    assert commands.output("quarantine", "list") == "quarantine: none\n"
    assert "load test" in commands.output("audit")


def test_discarding_names_what_is_missing(commands: Commands) -> None:
    assert "--reason" in commands.run("quarantine", "discard", "e0").output
    refused = commands.run("quarantine", "discard", "--reason=why")
    assert refused.exit_code == 1
    assert "event_ids: name the events, or a customer or waiting_reason" in refused.output


def test_waiting_events_are_counted_for_another_customer(commands: Commands) -> None:
    commands.output("apply", "-", stdin=CATALOG)
    Usage(commands.api.context).send("1", at="2026-02-01T00:00:00Z", customer="amce")
    words = ("quarantine", "reassign", "--customer=amce", "--to-customer=acme", "--reason=typo")
    assert commands.output(*words) == "1 counted for acme, 0 still waiting\n"
    assert commands.json(*words) == {"counted": 0, "waiting": 0}
