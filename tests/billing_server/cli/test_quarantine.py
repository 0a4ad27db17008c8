"""`billing-server quarantine …`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage


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
