"""What was billed on a guess counts nothing once its reservation is settled. On both databases."""

from datetime import timedelta

import pytest

from billing_server.domain.ports.usage_facts import CorrectionKind
from billing_server.services.redrive_quarantine import redrive_quarantine
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from metering.ids import expiry_event_id, settlement_event_id
from tests.billing_server.ingest_world import IngestWorld, event
from tests.billing_server.limit_world import LimitWorld, units

LATE = usage_pb2.SETTLEMENT_KIND_LATE
ELSEWHERE = usage_pb2.SETTLEMENT_KIND_ELSEWHERE
GUESS_ID = expiry_event_id("acme", "r-1")
SETTLEMENT_ID = settlement_event_id("acme", "r-1")


def guess(tokens: int = 400, *, customer: str = "acme") -> usage_pb2.UsageEvent:
    return ending(
        expiry_event_id(customer, "r-1"),
        tokens,
        kind=usage_pb2.SETTLEMENT_KIND_EXPIRED,
        customer=customer,
    )


def settlement(
    tokens: int = 70, *, kind: usage_pb2.SettlementKind = LATE, customer: str = "acme"
) -> usage_pb2.UsageEvent:
    return ending(settlement_event_id(customer, "r-1"), tokens, kind=kind, customer=customer)


def ending(
    event_id: str, tokens: int, *, kind: usage_pb2.SettlementKind, customer: str
) -> usage_pb2.UsageEvent:
    quantities = {"input_tokens": str(tokens), "requests": "1" if tokens else "0"}
    message = event(event_id, customer=customer, quantities=quantities)
    message.settlement.reservation_id = "r-1"
    message.settlement.kind = kind
    return message


def counted(world: IngestWorld, customer: str = "acme") -> dict[str, int]:
    """Returns what counts, by meter; voided buckets are gone."""
    return {meter: value for (meter, _), value in world.totals(customer).items()}


def test_a_guess_from_a_lease_of_an_earlier_window_gives_the_running_one_nothing(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(event("e1"))
    yesterday = world.account("daily").key
    world.lease(1, key=yesterday, granted=400)
    world.clock.advance(timedelta(days=1))
    agent.push(event("e2", at=world.clock.now(), quantities={"input_tokens": "500"}))
    ends = guess(), settlement()
    for message, borne in zip(ends, (400, 70), strict=True):
        message.event_time.FromDatetime(world.clock.now())
        message.debits.add(lease_id=b"\1" * 16, amount=borne)
        agent.push(message)
    assert world.account("daily").settled == 500
    assert counted(world)["input_tokens"] == 100 + 500 + 70


def test_a_late_settlement_takes_the_place_of_the_guess(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(guess())
    assert counted(world) == {"input_tokens": 400, "calls": 1}
    agent.push(settlement())
    assert counted(world) == {"input_tokens": 70, "calls": 1}
    assert world.account("daily").settled == 70
    with store.read() as unit:
        found = unit.usage_facts.corrections([(GUESS_ID, "acme"), (SETTLEMENT_ID, "acme")])
    [correction] = found.values()
    assert (correction.event_id, correction.kind) == (GUESS_ID, CorrectionKind.VOID)
    assert correction.reason == (f"its reservation was settled after all, by event {SETTLEMENT_ID}")


def test_the_order_in_which_they_are_counted_makes_no_difference(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    world.agent().push(settlement(kind=ELSEWHERE))
    world.agent().push(guess())
    assert counted(world) == {"input_tokens": 70, "calls": 1}
    assert world.account("daily").settled == 70


def test_both_in_one_push_and_again_void_once(store: SqlStore) -> None:
    world = IngestWorld(store)
    agent = world.agent()
    agent.push(guess(), settlement())
    agent.push(guess(), settlement(), first_seq=1)
    world.agent().push(settlement(), guess())
    assert counted(world) == {"input_tokens": 70, "calls": 1}
    with store.read() as unit:
        [correction] = unit.usage_facts.corrections([(GUESS_ID, "acme")]).values()
    assert correction.version == 1


def test_a_late_release_of_nothing_takes_the_guess_back_and_counts_nothing(
    store: SqlStore,
) -> None:
    world = IngestWorld(store)
    agent = world.agent()
    agent.push(guess(), settlement(0))
    assert counted(world) == {}


def test_events_that_waited_are_judged_when_they_are_counted(memory_store: SqlStore) -> None:
    world = IngestWorld(memory_store)
    agent = world.agent()
    agent.push(guess(customer="bela"), settlement(customer="bela"))
    world.add_customer("bela")
    assert redrive_quarantine(memory_store).counted == 2
    assert counted(world, "bela") == {"input_tokens": 70, "calls": 1}


@pytest.mark.parametrize("is_settled_in_time", [True, False])
def test_nothing_else_is_voided(memory_store: SqlStore, is_settled_in_time: bool) -> None:
    world = IngestWorld(memory_store)
    if is_settled_in_time:
        other = settlement()
        other.settlement.kind = usage_pb2.SETTLEMENT_KIND_SETTLED
        world.agent().push(event(GUESS_ID), other)
    else:
        # Somebody's own event under the id that a guess would have.
        world.agent().push(event(GUESS_ID), settlement())
    assert counted(world)["input_tokens"] == 170
