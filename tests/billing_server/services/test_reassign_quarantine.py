"""Waiting usage is counted once for the customer whose it is. On both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_server.bootstrap import counted_bytes
from billing_server.services import waiting_events
from billing_server.services.audit import list_audit
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import void_usage
from billing_server.services.ingest_tally import Tally
from billing_server.services.pages import PageRequest
from billing_server.services.reassign_quarantine import reassign_quarantine
from billing_server.services.redrive_quarantine import Redriven, redrive_quarantine
from billing_server.services.verify_usage import verify_usage
from billing_server.services.waiting_events import WaitingSelection
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from metering.errors import MeteringError
from tests.billing_server.ingest_world import IngestWorld, event
from tests.billing_server.limit_world import LimitWorld, debited, units

NEVER = datetime(2300, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


@pytest.fixture
def context(world: IngestWorld) -> ServiceContext:
    return ServiceContext(store=world.store, clock=world.clock, random_bytes=counted_bytes())


def reassign(
    context: ServiceContext, *event_ids: str, customer: str | None = None, to: str = "acme"
) -> Redriven:
    selection = WaitingSelection(event_ids=event_ids, customer_id=customer)
    return reassign_quarantine(
        context, selection=selection, to_customer_id=to, reason="a typo", actor="ann"
    )


def test_events_are_counted_once_for_the_other_customer_and_never_as_they_came_r14(
    world: IngestWorld, context: ServiceContext
) -> None:
    agent = world.agent()
    agent.push(*(event(f"e{n}", customer="amce") for n in range(2)))
    assert reassign(context, customer="amce") == Redriven(counted=2)
    assert reassign(context, customer="amce") == Redriven()
    assert world.charges()["input"].quantity == 200
    with world.store.read() as unit:
        (moved,) = unit.usage.stored_events([("e0", "acme")]).values()
    assert usage_pb2.UsageEvent.FromString(moved.payload) == event("e0")
    world.add_customer("amce")
    assert redrive_quarantine(world.store) == Redriven()
    # What comes again as it came, and as it was counted, is a repeat of what is stored.
    assert agent.push(event("e0", customer="amce"), first_seq=1).tally == Tally(quarantined=1)
    other = world.agent().push(event("e0", customer="amce"), event("e0"))
    assert other.tally == Tally(duplicates=2)
    assert (world.totals("amce"), world.totals()) == ({}, {("input_tokens", ""): 200})
    assert verify_usage(world.store).difference_count == 0
    (entry,) = list_audit(context, page=PageRequest()).entries
    assert (entry.actor, entry.action, entry.subject) == ("ann", "quarantine.reassign", "amce")
    assert entry.detail == {
        "reason": "a typo",
        "to_customer": "acme",
        "events": 2,
        "event_ids": ["e0", "e1"],
    }


def test_the_id_of_a_reassigned_event_names_the_one_that_counts(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(event("e1", customer="amce"))
    assert reassign(context, "e1") == Redriven(counted=1)
    with pytest.raises(MeteringError) as refused:
        reassign(context, "e1")
    assert refused.value.reason == "CUSTOMER_UNCHANGED"
    assert reassign(context, "e1", customer="amce") == Redriven()
    assert void_usage(context, event_id="e1").customer_id == "acme"
    assert world.totals() == {}


def test_what_cannot_be_counted_there_either_waits_there_with_its_reason(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(
        event("e1", customer="amce", quantities={"input_tokens": "0.5"}),
        event("e2", customer="amce", quantities={"images": "1"}),
        event("e3", customer="amce"),
    )
    assert reassign(context, "e1", "e2", "e3") == Redriven(counted=1, waiting=2)
    with world.store.read() as unit:
        rows = unit.usage.quarantined(limit=9)
    assert [(row.event_id, row.customer_id, row.quarantine_reason) for row in rows] == [
        ("e1", "acme", "QUANTITY_TOO_PRECISE"),
        ("e2", "acme", "METER_UNKNOWN"),
    ]


def test_an_event_whose_customer_id_was_malformed_is_counted_one_of_another_age_is_not(
    world: IngestWorld, context: ServiceContext
) -> None:
    wrong = "acme" + "e" * 200
    world.agent().push(event("e1", customer=wrong), event("e2", customer="amce", at=NEVER))
    assert world.waiting() == {"e1": "CUSTOMER_ID_MALFORMED", "e2": "EVENT_TIME_MALFORMED"}
    assert reassign(context, "e1", "e2") == Redriven(counted=1, waiting=1)
    assert world.waiting() == {"e2": "EVENT_TIME_MALFORMED"}
    assert world.totals() == {("input_tokens", ""): 100}


def test_a_time_that_was_left_unset_stays_unset_and_is_that_of_receipt(
    world: IngestWorld, context: ServiceContext
) -> None:
    world.agent().push(event("e1", customer="amce", at=None))
    assert reassign(context, "e1") == Redriven(counted=1)
    again = world.agent().push(
        event("e1", at=None), received=world.clock.now() + timedelta(hours=1)
    )
    assert again.tally == Tally(duplicates=1)


def test_all_of_a_customer_are_worked_through_in_bounded_batches(
    world: IngestWorld, context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_events, "EVENTS_MAX", 2)
    world.agent().push(*(event(f"e{n}", customer="amce") for n in range(5)))
    assert reassign(context, customer="amce") == Redriven(counted=5)
    assert world.totals() == {("input_tokens", ""): 500}


@pytest.mark.parametrize(
    ("event_ids", "customer", "to", "reason"),
    [
        (["e1"], None, "nobody", "CUSTOMER_NOT_FOUND"),
        (["e1"], None, "late", "CUSTOMER_NOT_FOUND"),
        (["e2"], None, "acme", "CUSTOMER_UNCHANGED"),
        ([], "acme", "acme", "CUSTOMER_UNCHANGED"),
        (["e1", "e3"], "late", "acme", "EVENT_ID_TAKEN"),
        (["e4"], None, "other", "EVENT_COUNTED"),
    ],
)
def test_nothing_changes_where_it_cannot_be_done(
    world: IngestWorld,
    context: ServiceContext,
    event_ids: list[str],
    customer: str | None,
    to: str,
    reason: str,
) -> None:
    world.add_customer("other")
    world.agent().push(
        event("e1", customer="late"),
        event("e2", quantities={"images": "1"}),
        event("e3", customer="late"),
        event("e3"),
        event("e4"),
    )
    before = world.waiting()
    with pytest.raises(MeteringError) as refused:
        reassign(context, *event_ids, customer=customer, to=to)
    assert refused.value.reason == reason
    assert world.waiting() == before
    assert world.totals() == {("input_tokens", ""): 200}


def test_a_reason_alone_does_not_say_whose_events_are_meant(context: ServiceContext) -> None:
    with pytest.raises(MeteringError) as refused:
        reassign_quarantine(
            context,
            selection=WaitingSelection(waiting_reason="CUSTOMER_UNKNOWN"),
            to_customer_id="acme",
            reason="why",
            actor="ann",
        )
    assert refused.value.reason == "SELECTION_EMPTY"


def test_what_leases_of_the_first_customer_bore_is_not_borne_for_the_other(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    world.add_customer("other")
    world.agent("opener").push(event("e0"))
    agent = world.agent()
    lease = world.lease(1, key=world.account("daily").key, granted=500, agent_ref=agent.agent.ref)
    waiting = debited("e1", tokens=50, debits=[(lease.lease_id, 50)], is_settlement=False)
    waiting.quantities["input_tokens"] = "0.5"
    assert agent.push(waiting).tally == Tally(quarantined=1)
    context = ServiceContext(store=store, clock=world.clock, random_bytes=counted_bytes())
    assert reassign(context, "e1", to="other") == Redriven(waiting=1)
    with store.read() as unit:
        (row,) = unit.usage.stored_events([("e1", "other")]).values()
    assert not usage_pb2.UsageEvent.FromString(row.payload).debits
    assert world.lease_of(lease.lease_id).rest == 450
    assert world.account("daily").settled == 100
