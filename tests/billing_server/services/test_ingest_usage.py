"""Counting pushed usage: once, with its charge, in one transaction. On both databases."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_server.domain.ports.customers import BillingPeriodState, SubscriptionPeriod
from billing_server.domain.rating.usage import UsageTerms
from billing_server.services.ingest_tally import Tally
from billing_server.services.ingest_usage import PushState
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from metering.period import Period
from tests.billing_server.ingest_world import NOON, START, IngestWorld, event


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


def test_usage_is_counted_and_charged_in_one_go(world: IngestWorld) -> None:
    outcome = world.agent().push(
        event("e1", quantities={"input_tokens": "1500"}),
        event("e2", quantities={"input_tokens": "10000"}),
        event("e3", quantities={"input_tokens": "7", "gpu_seconds": "0.125"}),
    )
    assert outcome.state is PushState.APPLIED
    assert outcome.applied_seq == 3
    assert outcome.tally == Tally(counted=3)
    assert world.totals() == {("input_tokens", ""): 11_507, ("gpu_seconds", ""): 125}
    charges = world.charges()
    # 11,507 − 1,000 included = 10,507: 10,000 × 0.01 + 507 × 0.005 = 102.535 → 102.54.
    assert charges["input"].amount_exact == Decimal("102.535")
    assert charges["input"].amount_minor == 10_254
    assert charges["input"].quantity == 11_507
    # 0.125 × 0.001 = 0.000125 → 0.00.
    assert charges["gpu"].amount_exact == Decimal("0.000125")
    assert charges["gpu"].amount_minor == 0


def test_dimensions_choose_the_price_with_the_most_matches_r32(world: IngestWorld) -> None:
    world.agent().push(
        event("e1", dimensions={"model": "large"}),
        event("e2", dimensions={"model": "small"}),
    )
    charges = world.charges()
    assert charges["input-large"].quantity == 100
    assert charges["input-large"].amount_minor == 200  # 100 × 0.02
    assert charges["input"].quantity == 100


def test_a_count_meter_counts_events_and_a_max_meter_keeps_the_largest(world: IngestWorld) -> None:
    agent = world.agent()
    agent.push(
        event("e1", quantities={"requests": "5", "users": "7"}),
        event("e2", quantities={"requests": "1", "users": "3"}, at=NOON + timedelta(minutes=1)),
    )
    agent.push(event("e3", quantities={"requests": "1", "users": "6"}))
    assert world.totals() == {("calls", ""): 3, ("peak", ""): 7}
    assert world.charges()["calls"].amount_minor == 30  # 3 × 0.1
    assert world.charges()["peak"].amount_minor == 1400  # 7 × 2


def test_an_event_without_a_time_counts_at_its_receipt(world: IngestWorld) -> None:
    world.agent().push(event("e1", at=None))
    with world.store.read() as unit:
        assert unit.usage.usage_span("acme") == (
            NOON.replace(second=0),
            NOON.replace(second=0),
        )


def test_a_lost_answer_is_answered_the_same_when_the_push_is_repeated(world: IngestWorld) -> None:
    agent = world.agent()
    first = agent.push(event("e1"), event("e2"))
    again = agent.push(event("e1"), event("e2"), first_seq=1)
    assert again == first
    assert world.totals() == {("input_tokens", ""): 200}


def test_a_push_that_overlaps_the_last_one_counts_only_what_is_new(world: IngestWorld) -> None:
    agent = world.agent()
    agent.push(event("e1"), event("e2"))
    outcome = agent.push(event("e2"), event("e3"), first_seq=2)
    assert (outcome.applied_seq, outcome.tally) == (3, Tally(counted=2))
    assert world.totals() == {("input_tokens", ""): 300}


def test_another_agents_copy_is_a_duplicate_and_stays_one(world: IngestWorld) -> None:
    world.agent().push(event("e1"))
    other = world.agent()
    assert other.push(event("e1"), event("e2")).tally == Tally(counted=1, duplicates=1)
    assert other.push(event("e1"), event("e2"), first_seq=1).tally == Tally(counted=1, duplicates=1)
    assert world.totals() == {("input_tokens", ""): 200}


def test_a_replay_a_year_later_is_a_duplicate_of_a_waiting_event_too_r14(
    world: IngestWorld,
) -> None:
    events = event("e1"), event("e2", quantities={"unknown": "1"})
    world.agent().push(*events)
    world.clock.advance(timedelta(days=365))
    assert world.agent().push(*events).tally == Tally(duplicates=2)
    assert world.totals() == {("input_tokens", ""): 100}
    assert list(world.waiting()) == ["e2"]


def test_one_push_may_hold_the_same_event_twice_r13(world: IngestWorld) -> None:
    agent = world.agent()
    same = event("e1", quantities={"input_tokens": "100.0"})  # Canonically equal to "100".
    other = event("e1", quantities={"input_tokens": "101"})
    assert agent.push(event("e1"), same, other).tally == Tally(counted=1, duplicates=1, conflicts=1)
    assert world.totals() == {("input_tokens", ""): 100}


def test_the_same_id_with_other_content_is_kept_as_a_conflict_once_r13(world: IngestWorld) -> None:
    world.agent().push(event("e1"))
    other = world.agent()
    for _ in range(2):
        outcome = other.push(event("e1", quantities={"input_tokens": "999"}), first_seq=1)
        assert outcome.tally == Tally(conflicts=1)
    with world.store.read() as unit:
        (conflict,) = unit.usage.conflicts(limit=10)
    assert conflict.event_id == "e1"
    kept = usage_pb2.UsageEvent.FromString(conflict.payload)
    assert dict(kept.quantities) == {"input_tokens": "999"}
    assert world.totals() == {("input_tokens", ""): 100}


def test_the_same_id_of_another_customer_is_another_event_r13(world: IngestWorld) -> None:
    world.add_customer("other")
    outcome = world.agent().push(event("e1"), event("e1", customer="other"))
    assert outcome.tally == Tally(counted=2)


def test_an_unset_time_and_a_set_one_are_different_contents(world: IngestWorld) -> None:
    world.agent().push(event("e1", at=None))
    assert world.agent().push(event("e1", at=NOON)).tally == Tally(conflicts=1)
    assert world.agent().push(event("e1", at=None)).tally == Tally(duplicates=1)


def test_a_call_of_an_older_session_is_fenced_and_changes_nothing(world: IngestWorld) -> None:
    agent = world.agent()
    old = agent.session_no
    agent.open()
    outcome = agent.push(event("e1"), session_no=old)
    assert (outcome.state, outcome.applied_seq) == (PushState.FENCED, 0)
    assert world.totals() == {}
    assert agent.push(event("e1"), first_seq=1).state is PushState.APPLIED


def test_a_call_of_another_incarnation_is_fenced(world: IngestWorld) -> None:
    agent = world.agent()
    agent.incarnation = "another"
    assert agent.push(event("e1")).state is PushState.FENCED
    assert world.totals() == {}


def test_a_hole_before_the_first_position_is_a_gap_and_changes_nothing(world: IngestWorld) -> None:
    agent = world.agent()
    agent.push(event("e1"))
    outcome = agent.push(event("e9"), first_seq=9)
    assert (outcome.state, outcome.applied_seq) == (PushState.GAP, 1)
    assert world.totals() == {("input_tokens", ""): 100}


def test_a_push_without_events_only_tells_where_the_agent_stands(world: IngestWorld) -> None:
    outcome = world.agent().push()
    assert (outcome.state, outcome.applied_seq, outcome.tally) == (PushState.APPLIED, 0, Tally())


def test_a_large_push_is_applied_in_parts_of_one_transaction_each(world: IngestWorld) -> None:
    agent = world.agent()
    events = [event(f"e{n:05}", at=NOON + timedelta(seconds=n)) for n in range(1_203)]
    outcome = agent.push(*events)
    assert (outcome.applied_seq, outcome.tally) == (1_203, Tally(counted=1_203))
    assert world.totals() == {("input_tokens", ""): 120_300}
    # A repeat from the middle: the first 700 are known.
    outcome = agent.push(*events[500:], first_seq=501)
    assert outcome.tally == Tally(counted=703)
    assert world.totals() == {("input_tokens", ""): 120_300}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"input_tokens": "1.5"}, "QUANTITY_TOO_PRECISE"),
        ({"gpu_seconds": "0.0001"}, "QUANTITY_TOO_PRECISE"),
        ({"input_tokens": "-1"}, "QUANTITY_NEGATIVE"),
        ({"input_tokens": "ten"}, "QUANTITY_MALFORMED"),
        ({"gpu_seconds": "99999999999999999"}, "QUANTITY_TOO_LARGE"),
        ({"input_tokens": "1", "unheard_of": "1"}, "METER_UNKNOWN"),
    ],
)
def test_an_event_that_cannot_be_counted_waits_whole_and_spoils_no_other_r20(
    world: IngestWorld, bad: dict[str, str], reason: str
) -> None:
    agent = world.agent()
    outcome = agent.push(event("e1"), event("e2", quantities=bad), event("e3"))
    assert outcome.tally == Tally(counted=2, quarantined=1)
    assert world.waiting() == {"e2": reason}
    assert world.totals() == {("input_tokens", ""): 200}
    assert agent.push(event("e2", quantities=bad), first_seq=2).tally == Tally(quarantined=1)


def test_events_of_an_unknown_customer_wait_r20(world: IngestWorld) -> None:
    outcome = world.agent().push(event("e1", customer="nobody"), event("e2"))
    assert outcome.tally == Tally(counted=1, quarantined=1)
    assert world.waiting() == {"e1": "CUSTOMER_UNKNOWN"}
    # Another agent's copy of a waiting event is a duplicate: it will be counted once at most.
    assert world.agent().push(event("e1", customer="nobody")).tally == Tally(duplicates=1)


def test_a_minute_that_would_pass_64_bits_quarantines_the_event_and_never_wraps(
    world: IngestWorld,
) -> None:
    largest = "999999999999999999"  # 10 of them still pass 2**63 − 1 = 9.22 × 10**18.
    world.add_customer("free")
    agent = world.agent()
    events = [
        event(f"e{n:02}", customer="free", quantities={"input_tokens": largest}) for n in range(12)
    ]
    outcome = agent.push(*events)
    assert outcome.tally == Tally(counted=9, quarantined=3)
    assert set(world.waiting().values()) == {"QUANTITY_TOO_LARGE"}
    assert world.totals("free") == {("input_tokens", ""): 9 * int(largest)}


def test_a_total_of_many_minutes_may_pass_64_bits(world: IngestWorld) -> None:
    largest = "999999999999999999"
    world.add_customer("free")
    world.agent().push(
        *(
            event(
                f"e{n:02}",
                customer="free",
                quantities={"input_tokens": largest},
                at=START + timedelta(minutes=n),
            )
            for n in range(20)
        )
    )
    assert world.totals("free") == {("input_tokens", ""): 20 * int(largest)}


def test_a_rating_error_never_undoes_counting_and_marks_the_subscription(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent()
    agent.push(event("e1"))

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a price nobody thought of")

    with monkeypatch.context() as patched:
        patched.setattr(UsageTerms, "rate", fail)
        assert agent.push(event("e2")).tally == Tally(counted=1)
    with world.store.read() as unit:
        failed = unit.usage.rating_failed("acme")
    assert failed == {"sub-acme": "ZeroDivisionError: a price nobody thought of"}
    assert agent.push(event("e3")).tally == Tally(counted=1)
    assert world.totals() == {("input_tokens", ""): 300}


def test_late_usage_marks_its_period_whether_or_not_it_can_be_rated_r76(
    world: IngestWorld,
) -> None:
    with world.store.write() as unit:
        unit.billing_periods.add(
            SubscriptionPeriod(
                subscription_id="sub-acme",
                customer_id="acme",
                period=Period(START, START.replace(month=4)),
                state=BillingPeriodState.INVOICED,
                has_late_usage=False,
            )
        )
        unit.usage.set_rating_failed("sub-acme", reason="broken")
        unit.customers.advance_revision("acme")
    world.agent().push(event("e1"))
    assert world.charges() == {}
    with world.store.read() as unit:
        (late,) = unit.billing_periods.with_late_usage("sub-acme")
    assert late.period.start == START


def test_usage_before_the_subscription_starts_is_counted_and_not_charged_r21(
    world: IngestWorld,
) -> None:
    world.agent().push(event("e1", at=START - timedelta(microseconds=1)), event("e2", at=START))
    assert world.totals() == {("input_tokens", ""): 200}
    assert world.charges()["input"].quantity == 100


def test_an_event_at_the_end_of_a_period_belongs_to_the_next_one_r1(world: IngestWorld) -> None:
    april = START.replace(month=4)
    world.agent().push(event("e1", at=april - timedelta(seconds=1)), event("e2", at=april))
    assert world.charges()["input"].quantity == 100
    assert world.charges(period_start=april)["input"].quantity == 100


def test_late_usage_of_an_invoiced_period_is_counted_and_marks_the_period_r76(
    world: IngestWorld,
) -> None:
    period = Period(START, START.replace(month=4))
    agent = world.agent()
    agent.push(event("e1"))
    with world.store.write() as unit:
        unit.billing_periods.add(
            SubscriptionPeriod(
                subscription_id="sub-acme",
                customer_id="acme",
                period=period,
                state=BillingPeriodState.RUNNING,
                has_late_usage=False,
            )
        )
    agent.push(event("e2"))
    with world.store.write() as unit:
        kept = unit.billing_periods.get("sub-acme", start=START)
        assert kept is not None
        assert not kept.has_late_usage
        unit.billing_periods.mark_invoiced("sub-acme", start=START, close_time=NOON)
    agent.push(event("e3"))
    with world.store.read() as unit:
        kept = unit.billing_periods.get("sub-acme", start=START)
    assert kept is not None
    assert kept.has_late_usage
    assert world.charges()["input"].quantity == 300


@pytest.mark.timeout(60)
def test_two_agents_pushing_the_same_events_at_once_count_them_once(world: IngestWorld) -> None:
    events = [
        event(f"e{n:04}", customer="acme" if n % 2 else "nobody", at=NOON + timedelta(seconds=n))
        for n in range(600)
    ]
    agents = [world.agent(), world.agent()]
    barrier = threading.Barrier(2)
    tallies: list[Tally] = []

    def push(index: int) -> None:
        ordered = events if index == 0 else events[::-1]
        barrier.wait(timeout=10)
        tallies.append(agents[index].push(*ordered).tally)

    threads = [threading.Thread(target=push, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=50)
    assert len(tallies) == 2
    both = tallies[0] + tallies[1]
    assert both == Tally(counted=300, duplicates=600, quarantined=300)
    assert world.totals() == {("input_tokens", ""): 30_000}
    assert len(world.waiting()) == 300
