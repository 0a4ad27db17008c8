"""Which usage a line stands for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_server.domain.rating.assignment import Assignment
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.line_usage import LineScope, events_of_line, series_of_line
from billing_server.store.unit_of_work import SqlStore
from metering.period import Period
from tests.billing_server.ingest_world import METERS, START, IngestWorld, event

MARCH = Period(START, START + timedelta(days=31))
SCOPE = LineScope(
    subscription_id="sub-acme", price_key="input", meter=METERS[0], segment=0, period=MARCH
)


@pytest.fixture
def world(memory_store: SqlStore) -> IngestWorld:
    world = IngestWorld(memory_store)
    world.agent().push(
        event("plain"),
        event("large", dimensions={"model": "large"}),
        event("a", dimensions={"project": "a"}),
        event("calls", quantities={"requests": "1"}),
    )
    return world


def counted(world: IngestWorld, scope: LineScope) -> tuple[list[str], int]:
    with world.store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        page = events_of_line(unit, terms=terms, scope=scope, after=None, limit=10)
        series = series_of_line(unit, terms=terms, scope=scope)
    return [each.event_id for each in page.events], sum(each.total for each in series)


def test_a_line_counts_what_its_own_price_charges_and_no_other_r32(world: IngestWorld) -> None:
    assert counted(world, SCOPE) == (["a", "plain"], 200)
    assert counted(world, replace(SCOPE, price_key="input-large")) == (["large"], 100)


def test_a_group_counts_the_events_with_its_values(world: IngestWorld) -> None:
    assert counted(world, replace(SCOPE, group={"project": "a"})) == (["a"], 100)
    # An event without the dimension is of the empty value.
    assert counted(world, replace(SCOPE, group={"project": ""})) == (["plain"], 100)


def test_another_subscription_or_period_counts_nothing(world: IngestWorld) -> None:
    assert counted(world, replace(SCOPE, subscription_id="sub-2")) == ([], 0)
    april = Period(MARCH.end, MARCH.end + timedelta(days=30))
    assert counted(world, replace(SCOPE, period=april)) == ([], 0)


def test_unpriced_usage_is_of_no_line() -> None:
    unpriced = Assignment(None, None, None, MARCH.start, MARCH.end)
    assert not SCOPE.holds(unpriced, dimensions={})
