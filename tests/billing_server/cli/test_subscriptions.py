"""`billing-server subscriptions`."""

from tests.billing_server.cli.runner import Commands


def test_subscriptions_are_shown_with_their_running_period(commands: Commands) -> None:
    (listed,) = commands.json("subscriptions", "list", "--customer=acme")
    assert commands.json("subscriptions", "show", "sub-1") == listed
    table = commands.output("subscriptions", "list")
    assert "2026-01-31T10:00:00Z – 2026-02-28T10:00:00Z" in table
    shown = commands.output("subscriptions", "show", "sub-1")
    assert "plan_version         1" in shown
    assert "end                  –" in shown


def test_a_subscription_that_cannot_be_rated_says_why(commands: Commands) -> None:
    assert commands.json("subscriptions", "show", "sub-1")["rating_failed_reason"] is None
    with commands.api.context.store.write() as unit:
        unit.usage.set_rating_failed("sub-1", reason="AMOUNT_TOO_LARGE: too much")
    assert "AMOUNT_TOO_LARGE: too much" in commands.output("subscriptions", "show", "sub-1")
    assert "AMOUNT_TOO_LARGE" in commands.output("subscriptions", "list")
    (listed,) = commands.json("subscriptions", "list")
    assert listed["rating_failed_reason"] == "AMOUNT_TOO_LARGE: too much"
