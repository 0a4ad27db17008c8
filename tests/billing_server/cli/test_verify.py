"""`billing-server verify` on a database of its own."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from billing_server.cli.app import app
from billing_server.store.unit_of_work import open_store
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    store = open_store(f"sqlite:///{tmp_path / 'billing.db'}")
    context = make_context(store, start=START)
    apply(context, METERS)
    Sender(context).send({"tokens": "5"}, at=START)
    store.close()
    return tmp_path


def test_a_database_in_order_is_told_in_numbers(data_dir: Path) -> None:
    result = CliRunner().invoke(app, ["verify", f"--data-dir={data_dir}"])
    assert result.exit_code == 0, result.output
    assert result.output == (
        "1 event, 1 minute bucket and 1 running charge checked: 0 differences\n"
    )


def test_a_difference_is_told_with_exit_code_1_and_repaired(data_dir: Path) -> None:
    store = open_store(f"sqlite:///{data_dir / 'billing.db'}")
    with store.write() as unit:
        unit.connection.exec_driver_sql("UPDATE usage_bucket SET value = 1")
    store.close()
    runner, command = CliRunner(), ["verify", f"--data-dir={data_dir}"]
    told = runner.invoke(app, command)
    assert told.exit_code == 1
    assert "stored 1 from 1 events, the events say 500 from 1 events" in told.output
    # The charge is right; the bucket that it is compared with is not.
    assert "the minute buckets, which differ themselves, come to quantity 1, amount" in told.output
    repaired = runner.invoke(app, [*command, "--repair"])
    assert repaired.exit_code == 0
    (*_, last) = repaired.output.splitlines()
    assert last == (
        "1 event, 1 minute bucket and 1 running charge checked: 1 difference, 1 repaired"
    )
    again = runner.invoke(app, [*command, "--repair", "--json"])
    assert (again.exit_code, json.loads(again.output)["differences"]) == (0, 0)


def test_what_cannot_be_repaired_is_told_with_the_reason_and_exit_code_1(data_dir: Path) -> None:
    store = open_store(f"sqlite:///{data_dir / 'billing.db'}")
    with store.write() as unit:
        for statement in (
            "UPDATE plan_version SET content = replace(content, '\"0.01\"', '\"10000000000000\"')",
            "UPDATE usage_bucket SET event_count = 2",
        ):
            unit.connection.exec_driver_sql(statement)
    store.close()
    runner, command = CliRunner(), ["verify", f"--data-dir={data_dir}"]
    repaired = runner.invoke(app, [*command, "--repair"])
    assert repaired.exit_code == 1
    too_large = "price 'tokens' comes to 50000000000000.00, which no invoice can hold"
    place = "customer acme, subscription sub-1"
    *_, first, left, last = repaired.output.splitlines()
    assert first == f"{place}, period 2026-04-01T00:00:00Z: {too_large}"
    assert left == (
        f"not repaired: {place}: cannot be rated, its charges are not compared: "
        f"AmountTooLargeError: {too_large}"
    )
    assert last == (
        "1 event, 1 minute bucket and 0 running charges checked: 2 differences, 1 repaired"
    )
    # From then on it is known as a subscription that cannot be rated, and no difference.
    told = runner.invoke(app, [*command, "--json"])
    assert (told.exit_code, json.loads(told.output)["unrated"]) == (
        0,
        [left.removeprefix("not repaired: ")],
    )
