"""`billing-server quarantine list`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage


def test_waiting_events_are_listed_with_the_reason(commands: Commands) -> None:
    assert commands.output("quarantine", "list") == "quarantine: none\n"
    Usage(commands.api.context).send("1", at="2026-02-01T00:00:00Z", customer="nobody")
    assert "CUSTOMER_UNKNOWN" in commands.output("quarantine", "list")
    (waiting,) = commands.json("quarantine", "list", "--customer=nobody")
    assert waiting["quantities"] == {"tokens": "1"}
