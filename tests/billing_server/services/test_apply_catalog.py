"""Catalog files are applied whole or not at all, and once."""

import pytest

from billing_server.services.apply_catalog import ApplyMode, apply_catalog
from billing_server.services.list_catalog import list_meters, list_plans, show_plan
from billing_server.services.list_customers import show_customer
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.plan_catalog import CatalogSource
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def test_applying_a_file_creates_all_of_it_in_the_order_of_its_references(store: SqlStore) -> None:
    context = make_context(store)
    assert apply(context, CATALOG) == [
        "create meter tokens",
        "create plan pro",
        "create customer acme",
        "create subscription sub-1",
    ]
    assert [meter.key for meter in list_meters(context)] == ["tokens"]
    assert [(plan.key, plan.version) for plan in list_plans(context)] == [("pro", 1)]
    assert show_subscription(context, subscription_id="sub-1").plan_version == 1


def test_applying_a_file_twice_changes_nothing_the_second_time(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    assert apply(context, CATALOG) == []


def test_a_dry_run_tells_the_changes_and_makes_none(store: SqlStore) -> None:
    context = make_context(store)
    assert len(apply(context, CATALOG, mode=ApplyMode.DRY_RUN)) == 4
    assert list_meters(context) == ()


def test_a_changed_price_makes_a_new_version_and_leaves_subscriptions_on_theirs(
    store: SqlStore,
) -> None:
    """R37: what was subscribed to stays as it was."""
    context = make_context(store)
    apply(context, CATALOG)
    dearer = CATALOG.replace('unit_price: "0.01"', 'unit_price: "0.02"')
    assert apply(context, dearer) == ["new version 2 of plan pro"]
    assert show_plan(context, key="pro").version == 2
    assert show_subscription(context, subscription_id="sub-1").plan_version == 1
    assert apply(context, dearer) == []


def test_a_mistake_anywhere_applies_nothing_and_names_its_line(store: SqlStore) -> None:
    context = make_context(store)
    wrong = CATALOG.replace('amount: "20.00"', "amount: 20.00")
    with pytest.raises(ValidationError) as refused:
        apply(context, wrong)
    assert refused.value.reason == "CATALOG_INVALID"
    (violation,) = refused.value.violations
    assert violation.description.startswith("catalog.yaml:11: plans[0].prices[0].amount:")
    assert list_meters(context) == ()


def test_a_meter_that_has_usage_keeps_what_its_usage_means(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    counting = CATALOG.replace("aggregation: sum", "aggregation: max")
    assert apply(context, counting) == ["update meter tokens"]
    apply(context, CATALOG)
    assert Usage(context).send("5", at="2026-02-01T00:00:00Z").counted == 1
    with pytest.raises(ValidationError) as refused:
        apply(context, counting)
    assert [violation.reason for violation in refused.value.violations] == ["METER_HAS_USAGE"]


def test_a_subscription_with_other_terms_is_refused_and_names_the_field(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    moved = CATALOG.replace("start: 2026-01-31", "start: 2026-01-30")
    with pytest.raises(ValidationError, match="start"):
        apply(context, moved)


def test_the_start_of_a_subscription_is_floored_to_its_minute(store: SqlStore) -> None:
    context = make_context(store)
    late = CATALOG.replace("10:00:00Z}", "10:00:59.5Z}")
    apply(context, late)
    start = show_subscription(context, subscription_id="sub-1").start
    assert start == parse_instant("2026-01-31T10:00:00Z")
    assert apply(context, late) == []


def test_details_of_a_customer_are_updated_and_its_time_zone_is_not(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    renamed = CATALOG.replace("name: Acme,", "name: Acme Corp, country: US,")
    assert apply(context, renamed) == ["update customer acme"]
    assert show_customer(context, customer_id="acme").name == "Acme Corp"
    with pytest.raises(ValidationError, match="timezone"):
        apply(context, CATALOG.replace("name: Acme,", "timezone: Asia/Tokyo,"))


def test_the_audit_tells_who_applied_what_and_nothing_where_nothing_changed(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    sources = [CatalogSource("a.yaml", CATALOG)]
    apply_catalog(context, sources=sources, mode=ApplyMode.DRY_RUN, actor="anna")
    for _ in range(2):
        apply_catalog(context, sources=sources, actor="anna")
    with memory_store.read() as unit:
        (entry,) = unit.audit.page(before=None, limit=9)
    assert (entry.actor, entry.action, entry.subject) == ("anna", "catalog.apply", "a.yaml")
    assert entry.detail["change_count"] == 4
    assert entry.detail["changes"][0] == "create meter tokens"  # type: ignore[index]


def test_several_files_are_applied_as_one(store: SqlStore) -> None:
    context = make_context(store)
    meters, rest = CATALOG.split("plans:", 1)
    sources = [CatalogSource("a.yaml", meters), CatalogSource("b.yaml", "plans:" + rest)]
    assert len(apply_catalog(context, sources=sources).changes) == 4


def test_usage_that_waited_for_its_customer_and_meter_counts_once_they_are_there(
    store: SqlStore,
) -> None:
    """R20."""
    context = make_context(store)
    usage = Usage(context)
    assert usage.send("1500", at="2026-02-01T00:00:00Z").quarantined == 1
    apply(context, CATALOG)
    with store.read() as unit:
        assert unit.usage.quarantined_count() == 0
        (charge,) = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=parse_instant("2026-01-31T10:00:00Z")
        )
    # 1,500 − 1,000 included = 500 × 0.01 = 5.00.
    assert (charge.quantity, charge.amount_minor) == (1500, 500)
