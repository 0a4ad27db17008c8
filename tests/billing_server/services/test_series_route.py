"""A series remembers which charges it feeds as long as the answer holds."""

from datetime import timedelta

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.usage import ChargeKey
from billing_server.services.rating_terms import TermsCache
from billing_server.services.series_route import SeriesRoute
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import METERS, START, IngestWorld

START_MINUTE = int(START.timestamp()) // 60


def route_of(store: SqlStore, meter: Meter, **kept: frozenset[str]) -> SeriesRoute:
    IngestWorld(store)
    cache = TermsCache()
    with store.write() as unit:
        catalog = cache.catalog(unit)
        revisions = unit.usage.lock_customers(["acme"])
        customer = cache.customers(unit, catalog=catalog, revisions=revisions)["acme"]
    return SeriesRoute(
        customer,
        meter=meter,
        assigner=customer.assigner.series(meter.key, dimensions={}),
        dimensions={},
        dimensions_json="{}",
        money_quantities=kept.get("money"),
    )


def test_r1_usage_feeds_the_charge_of_the_period_that_holds_its_minute(
    memory_store: SqlStore,
) -> None:
    route = route_of(memory_store, METERS[0])
    april = int((START + timedelta(days=31)).timestamp())
    (march,) = route.slots_at(START_MINUTE)
    (later,) = route.slots_at(april // 60)
    start_us = START_MINUTE * 60_000_000
    assert march.key == ChargeKey("acme", "sub-acme", start_us, "input", 0)
    assert later.key == march.key._replace(period_start_us=april * 1_000_000)
    assert route.slots_at(START_MINUTE - 1) == ()
    assert route.period_at(START_MINUTE - 1) is None
    assert route.period_at(START_MINUTE) == ("sub-acme", start_us)


def test_only_what_is_just_added_up_is_plain(memory_store: SqlStore) -> None:
    sums = route_of(memory_store, METERS[0])
    assert (sums.is_plain, sums.keeps_readings) == (True, False)


def test_levels_and_prices_by_event_keep_what_each_event_brought(memory_store: SqlStore) -> None:
    priced = route_of(memory_store, METERS[0], money=frozenset({"cost"}))
    assert (priced.is_plain, priced.keeps_readings) == (False, True)
    assert priced.money_quantities == {"cost"}


def test_a_level_has_no_running_charge(memory_store: SqlStore) -> None:
    level = Meter(key="input_tokens", quantity="x", aggregation=Aggregation.TIME_WEIGHTED)
    route = route_of(memory_store, level)
    assert route.keeps_readings
    assert route.slots_at(START_MINUTE) == ()
    assert route.period_at(START_MINUTE) == ("sub-acme", START_MINUTE * 60_000_000)
