"""Usage entries of a scenario become events, and events are counted by ingest."""

from datetime import timedelta

from billing_server.services.scenario import UsageStep
from billing_server.services.scenario_usage import ScenarioAgent, event_of, instants_of
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, apply, make_context

AT = parse_instant("2026-02-01T00:00:00Z")
STEP = UsageStep(
    customer_id="acme",
    event_id="timeline-0",
    quantities={"tokens": "5"},
    dimensions={"model": "large"},
    event_time=None,
    every=timedelta(hours=1),
    until=AT + timedelta(hours=3),
)


def test_a_repeated_entry_ends_before_its_until() -> None:
    assert list(instants_of(STEP, at=AT)) == [
        (AT, 0),
        (AT + timedelta(hours=1), 1),
        (AT + timedelta(hours=2), 2),
    ]


def test_repeats_have_their_own_ids_and_event_times() -> None:
    assert event_of(STEP, at=AT, repeat=0).event_id == "timeline-0"
    assert event_of(STEP, at=AT, repeat=2).event_id == "timeline-0-2"
    assert not event_of(STEP, at=AT, repeat=0).HasField("event_time")
    timed = UsageStep("acme", "e", {"tokens": "5"}, {}, AT, timedelta(hours=1), None)
    shifted = event_of(timed, at=AT, repeat=2).event_time
    assert shifted.seconds == int(AT.timestamp()) + 7200


def test_events_wait_until_they_are_flushed_and_then_count_at_their_receipt(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    agent = ScenarioAgent(context)
    for at, repeat in instants_of(STEP, at=AT):
        agent.record(STEP, at=at, repeat=repeat)
    assert agent.flush().counted == 3
    assert agent.flush().counted == 0
    with memory_store.read() as unit:
        (series,) = unit.usage.fold_usage("acme", start=AT, end=AT + timedelta(hours=2))
    assert series.total == 10
