"""Events behind a charge are read in the order (event_time, event_id). On both databases."""

from decimal import Decimal

from billing_server.domain.ports.usage import ReadingRow
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.usage.aggregate import AggregateState
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.slot_events import events_of_charges, events_state
from billing_server.store.unit_of_work import SqlStore
from metering.period import Period
from tests.billing_server.ingest_world import METERS, START, IngestWorld

MARCH = Period(START, START.replace(month=4))


def test_an_aggregate_of_events_is_their_sum_in_the_smallest_unit() -> None:
    events = [EventUsage(Decimal("1.5")), EventUsage(Decimal("0.125"))]
    assert events_state(events, meter=METERS[1]) == AggregateState(1625)
    assert events_state([], meter=METERS[1]) == AggregateState(0)


def test_a_price_that_needs_no_events_has_none(store: SqlStore) -> None:
    IngestWorld(store)
    with store.write() as unit:
        key = ("acme", "input_tokens", "{}")
        number = unit.usage.series_ids([key])[key]
        start_us = int(START.timestamp()) * 1_000_000
        unit.usage.add_readings([ReadingRow("acme", number, start_us, "e", 5, 0, None)])
        terms = load_customer_terms(unit, customer_id="acme")
        found = events_of_charges(
            unit, "acme", assigner=terms.assigner, meter=METERS[0], span=MARCH
        )
    assert found == {}
