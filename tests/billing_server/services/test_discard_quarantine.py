"""Discarded usage is never counted, and its id stays known for good. On both databases."""

import pytest

from billing_server.bootstrap import counted_bytes
from billing_server.domain.catalog.model import Meter
from billing_server.services import discard_quarantine as module
from billing_server.services import waiting_events
from billing_server.services.audit import list_audit
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import void_usage
from billing_server.services.discard_quarantine import discard_conflicts, discard_quarantine
from billing_server.services.ingest_tally import Tally
from billing_server.services.list_quarantine import list_conflicts, list_quarantine
from billing_server.services.pages import PageRequest
from billing_server.services.redrive_quarantine import Redriven, redrive_quarantine
from billing_server.services.server_figures import server_figures
from billing_server.services.verify_usage import verify_usage
from billing_server.services.waiting_events import WaitingSelection
from billing_server.services.watch_quarantine import QuarantineWatch
from billing_server.store.unit_of_work import SqlStore
from metering.errors import InvalidStateError, ValidationError
from tests.billing_server.ingest_world import START, IngestWorld, event


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


@pytest.fixture
def context(world: IngestWorld) -> ServiceContext:
    return ServiceContext(store=world.store, clock=world.clock, random_bytes=counted_bytes())


def discard(context: ServiceContext, *event_ids: str, customer: str | None = None) -> int:
    selection = WaitingSelection(event_ids=event_ids, customer_id=customer)
    return discard_quarantine(context, selection=selection, reason="load test", actor="ann")


def test_a_discarded_event_stays_known_and_is_never_counted_r14(
    world: IngestWorld, context: ServiceContext
) -> None:
    agent, other = world.agent(), world.agent()
    agent.push(event("e1", customer="late"), event("e2", customer="late"))
    assert discard(context, "e1") == 1
    assert discard(context, "e1") == 0
    world.add_customer("late")
    world.subscribe("late")
    assert redrive_quarantine(world.store) == Redriven(counted=1)
    assert world.totals("late") == {("input_tokens", ""): 100}
    # The same row again, a copy of it, and its id with other content.
    assert agent.push(event("e1", customer="late"), first_seq=1).tally == Tally(quarantined=1)
    assert other.push(event("e1", customer="late")).tally == Tally(duplicates=1)
    changed = event("e1", customer="late", quantities={"input_tokens": "7"})
    assert other.push(changed).tally == Tally(conflicts=1)
    assert world.totals("late") == {("input_tokens", ""): 100}
    report = verify_usage(world.store)
    assert (report.event_count, report.difference_count) == (1, 0)


def test_discarded_events_are_in_no_list_count_or_look(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(event("e1", quantities={"images": "2"}), event("e2", customer="nobody"))
    watch = QuarantineWatch(world.store)
    assert watch.look() == Redriven(waiting=1)
    assert discard(context, customer="acme") == 1
    assert list_quarantine(context, page=PageRequest()).entries[0].event_id == "e2"
    assert server_figures(context).quarantined_count == 1
    with world.store.write() as unit:
        assert unit.usage.waiting_customers(after="", limit=9) == {"nobody": False}
        unit.catalog.lock()
        unit.catalog.put_meter(Meter(key="images", quantity="images"), update_time=START)
        unit.catalog.advance_revision()
    assert watch.look() == Redriven()
    assert redrive_quarantine(world.store, customer_id="acme") == Redriven()
    assert world.totals() == {}


def test_events_that_are_named_with_one_that_is_counted_are_all_left_as_they_are(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(event("e1"), event("e2", customer="late"))
    with pytest.raises(InvalidStateError) as refused:
        discard(context, "e2", "e1")
    assert refused.value.reason == "EVENT_COUNTED"
    assert world.waiting() == {"e2": "CUSTOMER_UNKNOWN"}
    assert list_audit(context, page=PageRequest()).entries == ()


def test_a_discarded_event_cannot_be_corrected_and_tells_who_discarded_it(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(event("e1", customer="late"))
    discard(context, "e1")
    with pytest.raises(InvalidStateError) as refused:
        void_usage(context, event_id="e1")
    assert "discarded by ann: load test; it waited for CUSTOMER_UNKNOWN" in refused.value.message


def test_all_of_a_reason_are_discarded_in_bounded_batches_told_in_the_audit(
    world: IngestWorld, context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_events, "EVENTS_MAX", 2)
    monkeypatch.setattr(module, "IDS_TOLD", 1)
    world.agent().push(
        *(event(f"e{n}", customer="ab"[n % 2]) for n in range(5)),
        event("e5", quantities={"images": "2"}),
    )
    selection = WaitingSelection(waiting_reason="CUSTOMER_UNKNOWN")
    assert discard_quarantine(context, selection=selection, reason="why", actor="ann") == 5
    assert world.waiting() == {"e5": "METER_UNKNOWN"}
    entries = list_audit(context, page=PageRequest()).entries
    assert [(each.actor, each.subject, each.detail) for each in reversed(entries)] == [
        ("ann", "a", {"reason": "why", "events": 2, "event_ids": ["e0"]}),
        ("ann", "a", {"reason": "why", "events": 1, "event_ids": ["e4"]}),
        ("ann", "b", {"reason": "why", "events": 1, "event_ids": ["e1"]}),
        ("ann", "b", {"reason": "why", "events": 1, "event_ids": ["e3"]}),
    ]


def test_nothing_is_discarded_without_a_reason(world: IngestWorld, context: ServiceContext) -> None:
    world.agent().push(event("e1", customer="late"))
    with pytest.raises(ValidationError) as refused:
        discard_quarantine(
            context, selection=WaitingSelection(event_ids=("e1",)), reason="", actor="ann"
        )
    assert refused.value.reason == "REASON_MISSING"
    with pytest.raises(ValidationError):
        discard_conflicts(context, event_ids=("e1",), reason="", actor="ann")


def test_a_discarded_conflict_does_not_come_back_and_another_one_does(
    world: IngestWorld, context: ServiceContext
) -> None:
    agent = world.agent()
    for tokens in ("1", "2", "3"):
        agent.push(event("e1", quantities={"input_tokens": tokens}))
    assert discard_conflicts(context, customer_id="other", reason="why", actor="ann") == 0
    assert discard_conflicts(context, event_ids=["e1"], reason="why", actor="ann") == 2
    assert discard_conflicts(context, event_ids=["e1"], reason="why", actor="ann") == 0
    (entry,) = list_audit(context, page=PageRequest()).entries
    assert (entry.action, entry.detail["conflicts"]) == ("conflict.discard", 2)
    for tokens in ("3", "4"):
        agent.push(event("e1", quantities={"input_tokens": tokens}))
    (conflict,) = list_conflicts(context, limit=9)
    assert conflict.quantities == {"input_tokens": "4"}
    assert world.totals() == {("input_tokens", ""): 1}


@pytest.mark.parametrize(
    ("event_ids", "reason"), [((), "SELECTION_EMPTY"), (("e",) * 501, "EVENT_IDS_TOO_MANY")]
)
def test_conflicts_are_named_within_a_bound(
    context: ServiceContext, event_ids: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        discard_conflicts(context, event_ids=event_ids, reason="why", actor="ann")
    assert refused.value.reason == reason
