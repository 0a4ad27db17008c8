"""Which waiting events are meant, and what laying them down leaves. On both databases."""

from typing import Any

import pytest

from billing_server.domain.ports.usage import DISCARDED
from billing_server.services.ingest_tally import Tally
from billing_server.services.waiting_events import (
    WaitingSelection,
    hold_waiting,
    lay_down,
    named_events,
)
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ConflictError, MeteringError
from tests.billing_server.ingest_world import IngestWorld, event
from tests.billing_server.limit_world import LimitWorld, debited, units


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({}, "SELECTION_EMPTY"),
        ({"event_ids": ("e",), "waiting_reason": "WHY"}, "SELECTION_CONTRADICTORY"),
        ({"event_ids": tuple(map(str, range(501)))}, "EVENT_IDS_TOO_MANY"),
    ],
)
def test_a_selection_that_means_nothing_definite_is_refused(
    chosen: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MeteringError) as refused:
        WaitingSelection(**chosen)
    assert refused.value.reason == reason


def test_an_id_that_several_customers_have_needs_the_customer(store: SqlStore) -> None:
    world = IngestWorld(store)
    world.agent().push(event("e1", customer="a"), event("e1", customer="b"))
    with store.read() as unit:
        for event_ids, reason in ((("e1",), "EVENT_ID_AMBIGUOUS"), (("e2",), "EVENT_NOT_FOUND")):
            with pytest.raises(MeteringError) as refused:
                named_events(unit, selection=WaitingSelection(event_ids=event_ids))
            assert refused.value.reason == reason
        chosen = WaitingSelection(event_ids=("e1", "e1"), customer_id="b")
        assert [row.customer_id for row in named_events(unit, selection=chosen)] == ["b"]


def test_an_event_that_was_counted_meanwhile_is_not_laid_down(store: SqlStore) -> None:
    world = IngestWorld(store)
    world.agent().push(event("e1", customer="late"))
    with store.write() as unit:
        rows = hold_waiting(unit, rows=unit.usage.quarantined(limit=9))
        # As by another server: nothing locks a customer that is not there yet.
        unit.usage.set_quarantine([("e1", "late")], reason=None, detail=None)
        with pytest.raises(ConflictError) as lost:
            lay_down(unit, rows=rows, why="why")
    assert lost.value.reason == "EVENT_TAKEN_MEANWHILE"


def test_an_event_that_was_counted_while_its_customer_was_waited_for_is_not_called_a_mistake(
    store: SqlStore,
) -> None:
    world = IngestWorld(store)
    world.agent().push(event("e1", customer="late"))
    with store.write() as unit:
        rows = unit.usage.quarantined(limit=9)
        unit.usage.set_quarantine([("e1", "late")], reason=None, detail=None)
        with pytest.raises(ConflictError) as lost:
            hold_waiting(unit, rows=rows)
    assert lost.value.reason == "EVENT_TAKEN_MEANWHILE"


def test_what_was_debited_for_an_event_that_is_never_counted_is_escrowed_no_more(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    world.agent("opener").push(event("e0"))
    agent = world.agent()
    key = world.account("daily").key
    lease = world.lease(1, key=key, granted=500, agent_ref=agent.agent.ref)
    waiting = debited("e1", tokens=50, debits=[(lease.lease_id, 50)], is_settlement=False)
    waiting.quantities["unheard-of"] = "1"
    assert agent.push(waiting).tally == Tally(quarantined=1)
    assert world.lease_of(lease.lease_id).rest == 500
    with store.write() as unit:
        rows = hold_waiting(unit, rows=unit.usage.quarantined(limit=9))
        lay_down(unit, rows=rows, why="why")
        (row,) = unit.usage.stored_events([("e1", "acme")]).values()
    assert (row.quarantine_reason, row.quarantine_detail) == (
        DISCARDED,
        "why; it waited for METER_UNKNOWN",
    )
    assert world.lease_of(lease.lease_id).rest == 450
    assert world.account("daily").settled == 100
