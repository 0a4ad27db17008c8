"""`billing-server apply`."""

from pathlib import Path

import yaml

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, TAXED, apply


def test_the_changes_are_printed_and_nothing_the_second_time(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG.replace('"20.00"', '"30.00"'))
    planned = commands.output("apply", str(file), "--dry-run")
    assert planned.startswith("new version 2 of plan pro\n    prices.base.amount:")
    assert planned.endswith("1 change planned\n")
    assert commands.output("apply", str(file)).endswith("1 change applied\n")
    assert commands.output("apply", str(file)) == "no change: all of it is applied already\n"


def test_each_mistake_is_printed_on_its_line_with_its_place(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(CATALOG.replace('"20.00"', "20.00").replace("meter: tokens", "meter: gpu"))
    result = commands.run("apply", str(file))
    assert result.exit_code == 1
    first, second, summary = result.stderr.splitlines()
    assert first.startswith(f"{file}:11: plans[0].prices[0].amount: ")
    assert second.startswith(f"{file}:12: plans[0].prices[1].meter: ")
    assert summary == "error: 2 mistakes (CATALOG_INVALID); nothing was changed"


def test_a_file_is_read_from_standard_input_or_told_to_be_missing(commands: Commands) -> None:
    assert commands.output("apply", "-", stdin=CATALOG).startswith("no change")
    missing = commands.run("apply", "nowhere.yaml")
    assert missing.exit_code == 1
    assert missing.stderr == "error: nowhere.yaml: cannot be read: No such file or directory\n"


def test_the_catalog_is_listed_and_each_version_shown(commands: Commands) -> None:
    addon = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "2"}]}]'
    apply(commands.api.context, CATALOG.replace('"20.00"', '"30.00"') + addon)
    listed = commands.json("catalog", "list")
    assert [(each["key"], each["version"]) for each in listed["plans"]] == [("pro", 2)]
    table = commands.output("catalog", "list")
    for word in ("tokens", "pro", "base, tokens", "help"):
        assert word in table
    first = yaml.safe_load(commands.output("catalog", "show", "pro", "--version", "1"))
    assert first["prices"][0]["amount"] == "20"
    assert commands.json("catalog", "show", "help", "--addon")["version"] == 1
    missing = commands.run("catalog", "show", "pro", "--version", "9")
    assert missing.stderr == (
        "error: there is no plan 'pro' of version 9: see 'billing-server catalog list', "
        "or apply it\n"
    )


def test_tax_rates_are_listed(commands: Commands) -> None:
    apply(commands.api.context, TAXED)
    table = commands.output("catalog", "list")
    for word in ("tax rates", "de-vat", "VAT", "0.19", "DE"):
        assert word in table
    assert commands.json("catalog", "list")["tax_rates"][0]["key"] == "de-vat"
    changed = commands.output("apply", "-", stdin=TAXED.replace('"20.00"', '"30.00"'))
    assert "unchanged tax rate de-vat" in changed
