"""`billing-server subscriptions`."""

from billing_server.cli.subscriptions import changes_text
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


def test_what_changed_in_a_subscription_is_told_in_sentences() -> None:
    changes = {
        "moves": [{"start": "2026-03-01T00:00:00Z", "version": 2}],
        "overrides": [{"start": "2026-03-02T00:00:00Z", "price": "base", "set": {}}],
        "addons": [{"addon": "help", "version": 3, "start": "2026-03-03T00:00:00Z", "end": None}],
        "price_starts": {"new": "2026-03-04T00:00:00Z"},
    }
    assert list(changes_text(changes)) == [
        "from 2026-03-01T00:00:00Z: version 2",
        "from 2026-03-02T00:00:00Z: price base as in the plan",
        "from 2026-03-03T00:00:00Z: add-on help version 3",
        "from 2026-03-04T00:00:00Z: price new, which was added to the version",
    ]
