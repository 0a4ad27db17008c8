"""Meters and plans are listed and shown."""

import pytest

from billing_server.services.list_catalog import (
    list_addons,
    list_meters,
    list_plans,
    list_tax_rates,
    show_addon,
    show_meter,
    show_plan,
    show_tax_rate,
)
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, TAXED, apply, make_context


def test_the_newest_version_is_shown_unless_another_is_asked_for(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    apply(context, CATALOG.replace('"20.00"', '"30.00"'))
    assert [plan.version for plan in list_plans(context)] == [2]
    assert show_plan(context, key="pro").version == 2
    assert show_plan(context, key="pro", version=1).effective_from == context.clock.now()
    assert show_meter(context, key="tokens") == list_meters(context)[0]


def test_what_is_not_there_is_told(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    with pytest.raises(NotFoundError, match="version 9"):
        show_plan(context, key="pro", version=9)
    with pytest.raises(NotFoundError, match="'max'"):
        show_plan(context, key="max")
    with pytest.raises(NotFoundError, match="'gpu'"):
        show_meter(context, key="gpu")
    with pytest.raises(NotFoundError, match="'help' of version 3"):
        show_addon(context, key="help", version=3)


def test_add_ons_are_listed_and_shown_by_version(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    addon = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "2"}]}]'
    apply(context, addon)
    apply(context, addon.replace('"2"', '"3"'))
    assert list_addons(context) == (show_addon(context, key="help"),)
    assert show_addon(context, key="help").version == 2
    assert show_addon(context, key="help", version=1).version == 1


def test_tax_rates_are_listed_and_shown(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, TAXED)
    assert list_tax_rates(context) == (show_tax_rate(context, key="de-vat"),)
    with pytest.raises(NotFoundError, match="'fr-vat'"):
        show_tax_rate(context, key="fr-vat")
