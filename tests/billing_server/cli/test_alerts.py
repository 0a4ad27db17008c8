"""`billing-server alerts`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage


def test_usage_without_a_price_is_a_row_for_people(commands: Commands) -> None:
    assert commands.output("alerts").strip() == "alerts: none"
    Usage(commands.api.context).send("5", at="2026-02-01T10:00:00Z", dimensions={"model": "new"})
    table = commands.output("alerts", "--state", "open", "--customer", "acme")
    assert "tokens model=new" in table
    assert "2026-02-01T10:00:00Z" in table
    assert [each["state"] for each in commands.json("alerts")] == ["open"]
    assert commands.json("alerts", "--state", "closed") == []
