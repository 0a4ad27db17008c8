"""Compiled terms: kept as long as they hold, bounded, and never in the way of counting."""

import pytest

from billing_server.domain.ports.usage import ChargeKey
from billing_server.services.rating_terms import CompiledCustomer, TermsCache
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork
from tests.billing_server.ingest_world import METERS, NOON, START, IngestWorld

MINUTE = int(NOON.timestamp()) // 60
START_US = int(START.timestamp()) * 1_000_000


@pytest.fixture
def world(memory_store: SqlStore) -> IngestWorld:
    return IngestWorld(memory_store)


def compiled(unit: SqlUnitOfWork, cache: TermsCache, *names: str) -> dict[str, CompiledCustomer]:
    catalog = cache.catalog(unit)
    return cache.customers(unit, catalog=catalog, revisions=unit.usage.lock_customers(names))


def test_a_series_knows_the_charge_that_it_feeds(world: IngestWorld) -> None:
    with world.store.write() as unit:
        acme = compiled(unit, TermsCache(), "acme")["acme"]
        route = acme.route(METERS[0], dimensions={}, dimensions_json="{}")
        (slot,) = route.slots_at(MINUTE)
        assert slot.key == ChargeKey("acme", "sub-acme", START_US, "input", 0)
        assert (slot.meter, slot.currency_digits, slot.is_part) == (METERS[0], 2, False)
        assert route.slots_at(MINUTE + 1) == (slot,)
        assert acme.route(METERS[0], dimensions={}, dimensions_json="{}") is route
        assert route.slots_at(int(START.timestamp()) // 60 - 1) == ()


def test_a_customer_is_compiled_once_for_each_revision(world: IngestWorld) -> None:
    cache = TermsCache()
    with world.store.write() as unit:
        first = compiled(unit, cache, "acme", "nobody")
        assert set(first) == {"acme"}
        assert compiled(unit, cache, "acme") == first
        unit.customers.advance_revision("acme")
        second = compiled(unit, cache, "acme")
        assert second["acme"] is not first["acme"]
        unit.catalog.advance_revision()
        assert compiled(unit, cache, "acme")["acme"] is not second["acme"]


def test_the_cache_is_bounded(world: IngestWorld) -> None:
    for number in range(10):
        world.add_customer(f"c{number}")
    cache = TermsCache(customers_max=4)
    with world.store.write() as unit:
        compiled(unit, cache, *(f"c{number}" for number in range(10)))
        assert len(cache._customers) <= 4


def test_a_subscription_that_cannot_be_compiled_is_noted_and_not_in_the_way(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.services import rating_terms

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a plan nobody thought of")

    monkeypatch.setattr(rating_terms, "load_timeline", fail)
    with world.store.write() as unit:
        acme = compiled(unit, TermsCache(), "acme")["acme"]
        assert list(acme.newly_failed) == ["sub-acme"]
        route = acme.route(METERS[0], dimensions={}, dimensions_json="{}")
        assert route.slots_at(MINUTE) == ()
