"""Meters and plan versions on both databases."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from billing_server.domain.tax.rate import TaxRate
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.catalog_rows import METER, NOW, PLAN, write_rows


def test_meters_and_plans_are_read_back_as_they_were_written(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit)
    with store.read() as unit:
        assert unit.catalog.meters() == (METER,)
        assert unit.catalog.meter("tokens") == METER
        assert unit.catalog.meter("nothing") is None
        assert unit.catalog.plan("pro", version=1) == PLAN
        assert unit.catalog.plan("pro", version=2) is None


def test_a_meter_is_replaced_and_a_plan_gets_another_version(store: SqlStore) -> None:
    second = replace(PLAN, version=2, name="Pro")
    with store.write() as unit:
        write_rows(unit)
        unit.catalog.put_meter(replace(METER, unit="word"), update_time=NOW)
        unit.catalog.add_plan_version(second, create_time=NOW)
        unit.catalog.add_plan_version(replace(PLAN, key="max"), create_time=NOW)
        assert [meter.unit for meter in unit.catalog.meters()] == ["word"]
        assert unit.catalog.plan_versions("pro") == (PLAN, second)
        assert unit.catalog.latest_plan("pro") == second
        assert unit.catalog.latest_plan("nothing") is None
        assert [(plan.key, plan.version) for plan in unit.catalog.latest_plans()] == [
            ("max", 1),
            ("pro", 2),
        ]


def test_the_revision_rises_under_the_lock(store: SqlStore) -> None:
    with store.write() as unit:
        unit.catalog.lock()
        first = unit.catalog.advance_revision()
        assert unit.catalog.advance_revision() == first + 1


def test_a_meter_has_usage_once_a_series_of_it_is_there(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit)
        assert unit.catalog.meters_with_usage(["tokens"]) == frozenset()
        unit.usage.series_ids([("acme", "tokens", "{}")])
        assert unit.catalog.meters_with_usage(["tokens", "other"]) == {"tokens"}


def test_a_document_is_parsed_once_and_one_that_was_rolled_back_is_forgotten(
    store: SqlStore,
) -> None:
    with store.write() as unit:
        undone = replace(PLAN, name="Undone")
        unit.catalog.add_plan_version(undone, create_time=NOW)
        assert unit.catalog.plan("pro", version=1) == undone
        unit.connection.rollback()
    with store.write() as unit:
        write_rows(unit)
    with store.read() as first:
        found = first.catalog.plan("pro", version=1)
    with store.read() as second:
        assert second.catalog.plan("pro", version=1) is found
    assert found == PLAN


def test_a_tax_rate_is_kept_and_replaced(store: SqlStore) -> None:
    rate = TaxRate(
        key="de-vat",
        name="VAT",
        rate=Decimal("0.19"),
        country="DE",
        category="saas",
        start=date(2021, 1, 1),
    )
    with store.write() as unit:
        assert unit.catalog.tax_rates() == ()
        unit.catalog.put_tax_rate(rate, update_time=NOW)
        unit.catalog.put_tax_rate(replace(rate, key="at-vat", country="AT"), update_time=NOW)
        unit.catalog.put_tax_rate(replace(rate, end=date(2027, 1, 1)), update_time=NOW)
    with store.read() as unit:
        assert unit.catalog.tax_rates() == (
            replace(rate, key="at-vat", country="AT"),
            replace(rate, end=date(2027, 1, 1)),
        )
