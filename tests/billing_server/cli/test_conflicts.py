"""`billing-server conflicts …`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, Usage


def test_conflicts_are_listed_until_they_are_discarded(commands: Commands) -> None:
    assert commands.output("conflicts", "list") == "conflicts: none\n"
    commands.output("apply", "-", stdin=CATALOG)
    usage = Usage(commands.api.context)
    for event_id in ("a", "b"):
        for tokens in ("1", "2"):
            usage.send(tokens, at="2026-02-01T00:00:00Z", event_id=event_id)
    assert "tokens=2" in commands.output("conflicts", "list")
    assert commands.output("conflicts", "discard", "a", "--reason=looked at") == "1 discarded\n"
    (left,) = commands.json("conflicts", "list")
    assert (left["customer"], left["event_id"]) == ("acme", "b")
    discarded = commands.json("conflicts", "discard", "--customer=acme", "--reason=looked at")
    assert discarded == {"discarded": 1}
    assert commands.json("conflicts", "list") == []
