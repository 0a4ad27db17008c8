"""`billing-server limits …`, `balance …` and `audit`."""

from dataclasses import replace

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.cli.runner import Commands
from tests.billing_server.ingest_world import PLAN, START, event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import Api, context_of

SET = ("limits", "set", "acme", "daily", "--meter", "tokens", "--window", "day", "--max", "500")


def test_a_limit_is_set_shown_and_removed(commands: Commands) -> None:
    assert commands.output(*SET) == "limit daily of customer acme holds from now on\n"
    assert "daily" in commands.output("limits", "show", "acme")
    (shown,) = commands.json("limits", "show", "acme")
    assert (shown["max"], shown["left"]) == ("500", "500")
    assert commands.json(*SET, "--where", "model=large")["limit"]["where"] == {"model": "large"}
    removed = commands.output("limits", "remove", "acme", "daily")
    assert removed == "customer acme has no limit daily of its own any more\n"
    assert commands.output("limits", "list") == "limits: none\n"


def test_a_mistake_is_told_with_its_field(commands: Commands) -> None:
    result = commands.run("limits", "set", "acme", "daily", "--meter", "gone", "--window", "day")
    assert result.exit_code == 1
    assert "max: the field is missing" in result.output
    result = commands.run(*SET, "--where", "model")
    assert "write DIMENSION=VALUE" in result.output


def test_a_balance_is_filled_and_the_audit_tells_of_it(commands: Commands) -> None:
    added = commands.output("balance", "add", "acme", "25.00", "--id", "p1", "--note", "by card")
    assert added == "acme: 25 USD paid in; no limit of the customer counts what is used of it\n"
    commands.output("limits", "set", "acme", "money", "--balance", "prepaid")
    assert commands.output("balance", "show", "acme") == "acme: 25 USD paid in, 0 used, 25 left\n"
    assert commands.json("balance", "show", "acme")["amount"] == "25"
    assert "balance.add" in commands.output("audit")
    _, entry, _ = commands.json("audit")
    assert entry["detail"]["note"] == "by card"


def test_leases_are_shown_where_they_are_forgotten_and_released(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    agent = world.leasing("host-1")
    agent.push(event("e1"))
    agent.sync(want("daily", 5))
    commands = Commands(Api(context_of(world)), monkeypatch)
    assert "host-1" in commands.output("limits", "show", "acme")
    told = commands.output("agents", "forget", "host-1")
    assert "1 of its leases are presumed used" in told
    (shown,) = commands.json("limits", "show", "acme")
    (lease,) = shown["leases"]
    assert (shown["presumed"], lease["state"]) == ("75", "written_off")
    assert "has it back" in commands.output("limits", "release", lease["lease"])
    assert "0 of its leases" in commands.output("agents", "forget", "host-1")


def test_thresholds_and_limits_of_plans_are_listed(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, units("daily", 100))
    with memory_store.write() as unit:
        limited = replace(PLAN, version=2, limits=(units("monthly", 7),))
        unit.catalog.add_plan_version(limited, create_time=START)
    world.leasing().push(event("e1"))
    commands = Commands(Api(context_of(world)), monkeypatch)
    assert "rising" in commands.output("limits", "events", "--customer", "acme")
    assert len(commands.json("limits", "events", "--limit", "3")) == 3
    assert "monthly" in commands.output("limits", "list")
    assert commands.json("limits", "list")[0]["limit"]["max"] == "7"
