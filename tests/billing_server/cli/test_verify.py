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
        "1 events, 1 minute buckets and 1 running charges checked: 0 differences\n"
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
    repaired = runner.invoke(app, [*command, "--repair", "--json"])
    assert repaired.exit_code == 0
    assert json.loads(repaired.output)["repaired"] >= 1
    assert runner.invoke(app, command).exit_code == 0
