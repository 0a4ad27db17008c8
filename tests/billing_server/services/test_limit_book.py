"""Limits compiled once for each revision of the catalog and the customer."""

from dataclasses import replace
from datetime import timedelta

from billing_server.services.limit_book import LimitBook, LimitSources
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON, START
from tests.billing_server.limit_world import LimitWorld, units


def sources_of(world: LimitWorld, book: LimitBook, customer: str = "acme") -> LimitSources | None:
    with world.store.write() as unit:
        revision = unit.usage.lock_customers({customer}).get(customer, 0)
        return book.sources(
            unit,
            catalog_revision=unit.catalog.revision(),
            customer_id=customer,
            revision=revision,
        )


def keys_of(sources: LimitSources | None) -> list[str]:
    assert sources is not None
    return [limit.key for limit in sources.at(NOON).limits]


def test_limits_are_compiled_anew_only_when_their_customer_or_the_catalog_changes(
    memory_store: SqlStore,
) -> None:
    world, book = LimitWorld(memory_store, units("daily", 5)), LimitBook()
    first = sources_of(world, book)
    assert sources_of(world, book) is first
    assert keys_of(first) == ["daily"]
    world.limit(units("hourly", 5))
    assert keys_of(sources_of(world, book)) == ["hourly"]
    with memory_store.write() as unit:
        unit.catalog.advance_revision()
    assert sources_of(world, book) is not first


def test_an_unknown_customer_has_no_limits(memory_store: SqlStore) -> None:
    assert sources_of(LimitWorld(memory_store), LimitBook(), "nobody") is None


def test_a_version_that_comes_on_offer_later_holds_from_then_on(memory_store: SqlStore) -> None:
    world, book = LimitWorld(memory_store), LimitBook()
    tomorrow = NOON + timedelta(days=1)
    with memory_store.write() as unit:
        plan = unit.catalog.latest_plan("pro")
        assert plan is not None
        limited = replace(plan, version=2, limits=(units("daily", 5),), effective_from=tomorrow)
        unit.catalog.add_plan_version(limited, create_time=START)
    sources = sources_of(world, book)
    assert sources is not None
    assert sources.has_any
    assert sources.at(NOON).limits == ()
    assert sources.at(NOON) is sources.at(NOON + timedelta(hours=1))
    assert [limit.key for limit in sources.at(tomorrow).limits] == ["daily"]


def test_the_older_half_is_forgotten_beyond_the_bound(memory_store: SqlStore) -> None:
    world, book = LimitWorld(memory_store), LimitBook(customers_max=2)
    for customer in ("b", "c"):
        world.add_customer(customer)
    kept = {each: sources_of(world, book, each) for each in ("acme", "b", "c")}
    assert sources_of(world, book, "c") is kept["c"]
    assert sources_of(world, book, "acme") is not kept["acme"]
