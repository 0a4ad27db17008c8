"""`billing-server subscriptions`: what changes in running subscriptions."""

import yaml

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, apply

ADDON = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "28.00"}]}]\n'


def test_subscriptions_are_moved_with_what_each_pays(commands: Commands) -> None:
    apply(commands.api.context, CATALOG.replace('"20.00"', '"25.00"'))
    words = ("subscriptions", "move-version", "--plan=pro", "--to=2")
    preview = commands.output(*words, "--dry-run")
    assert "would move" in preview
    assert "1 -> 2" in preview
    assert "25.00 USD" in preview
    (moved,) = commands.json(*words, "sub-1")
    assert (moved["before"], moved["after"], moved["refusal"]) == ("20.00", "25.00", None)


def test_an_override_and_an_add_on_are_changed(commands: Commands) -> None:
    apply(commands.api.context, ADDON)
    fields = '{"amount": "15.00"}'
    changed = commands.json("subscriptions", "override", "sub-1", "base", fields)
    assert changed["changes"]["overrides"][0]["set"] == {"amount": "15"}
    added = commands.json("subscriptions", "add-addon", "sub-1", "help")
    assert added["changes"]["addons"][0]["end"] is None
    assert commands.output("subscriptions", "remove-addon", "sub-1", "help").splitlines() == [
        "subscription sub-1 has now:",
        '  from 2026-01-31T10:00:00Z: price base {"amount": "15"}',
        "  from 2026-01-31T10:00:00Z until 2026-02-28T10:00:00Z: add-on help version 1",
    ]
    for wrong in ("{amount}", "[]"):
        refused = commands.run("subscriptions", "override", "sub-1", "base", wrong)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: ")


def test_the_exported_catalog_is_a_catalog_file(commands: Commands) -> None:
    text = commands.output("catalog", "export")
    assert apply(commands.api.context, text) == []
    assert yaml.safe_load(text) == commands.json("catalog", "export")


def test_an_add_on_is_given_with_its_quantities(commands: Commands) -> None:
    seats = (
        "addons: [{key: team, prices: [{key: s, kind: recurring, amount: '9', per_unit: seats}]}]"
    )
    apply(commands.api.context, seats)
    words = ("subscriptions", "add-addon", "sub-1", "team")
    assert "write {seats: 1} or how many" in commands.run(*words).stderr
    assert "'seats' is not NAME=VALUE" in commands.run(*words, "--quantity", "seats").stderr
    assert commands.run(*words, "--quantity", "seats=-1").exit_code == 1
    commands.output(*words, "--quantity", "seats=3")
    assert commands.json("subscriptions", "show", "sub-1")["quantities"] == {"seats": 3}
