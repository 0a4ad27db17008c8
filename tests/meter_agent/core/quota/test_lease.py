"""Leases at the agent: what is consumed and held never passes what was granted and kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_agent.core.quota.lease import (
    US_PER_MINUTE,
    Lease,
    available,
    consume,
    consume_held,
    expired,
    hold,
    recalled,
    refilled,
    refilled_after_us,
    reloaded,
    returned_rest,
    unhold,
)
from metering.errors import InvariantError

SECOND = 1_000_000
LEASE = Lease(lease_id=bytes(16), customer_id="acme", limit_key="tokens", granted=100)
SHARE = replace(
    LEASE,
    granted=0,
    rate_per_minute=60,
    burst=10,
    tokens_us=10 * US_PER_MINUTE,
    usable_until_us=60 * SECOND,
)


def test_a_hold_takes_what_is_free_and_becomes_use_or_comes_back() -> None:
    held = hold(LEASE, amount=40, now_us=0)
    assert (held.held, held.free) == (40, 60)
    used = consume_held(held, held=40, used=30)
    assert (used.held, used.consumed, used.free) == (0, 30, 70)
    assert unhold(held, amount=40, held_for_us=0, now_us=0) == LEASE


def test_no_more_is_taken_than_is_free() -> None:
    with pytest.raises(InvariantError, match="101 was to be taken"):
        hold(LEASE, amount=101, now_us=0)
    with pytest.raises(InvariantError, match="2 was to be taken"):
        consume_held(LEASE, held=1, used=2)


def test_a_lease_that_would_be_overspent_cannot_be_made() -> None:
    with pytest.raises(InvariantError, match="passes granted 100 - returned 50"):
        replace(LEASE, returned=50, consumed=30, held=21)


def test_what_is_returned_is_not_spent_again() -> None:
    back = returned_rest(hold(LEASE, amount=30, now_us=0), keep=20)
    assert (back.returned, back.free, available(back, now_us=0)) == (50, 20, 20)


def test_usage_without_a_reservation_is_consumed_at_once() -> None:
    assert consume(LEASE, amount=10, now_us=0).consumed == 10


def test_a_recall_is_answered_once_with_all_that_is_free() -> None:
    answered = recalled(hold(LEASE, amount=30, now_us=0), recall_no=1)
    assert (answered.returned, answered.held, answered.recall_no) == (70, 30, 1)
    again = replace(answered, granted=150)
    assert recalled(again, recall_no=1) == again


def test_a_lease_takes_nothing_new_outside_its_time() -> None:
    timed = replace(LEASE, usable_from_us=5, usable_until_us=10)
    assert [available(timed, now_us=now) for now in (4, 5, 9, 10)] == [0, 100, 100, 0]


def test_a_lease_whose_time_is_over_keeps_its_holds_and_gives_back_the_rest() -> None:
    over = expired(hold(LEASE, amount=30, now_us=0))
    assert (over.held, over.returned, over.is_closed) == (30, 70, True)
    assert consume_held(over, held=30, used=30).consumed == 30


def test_a_restarted_agent_spends_nothing_before_the_server_has_confirmed_it() -> None:
    assert available(reloaded(LEASE), now_us=10**12) == 0


def test_a_share_refills_at_its_rate_up_to_its_burst_and_only_while_it_may_be_used() -> None:
    empty = hold(SHARE, amount=10, now_us=0)
    assert [available(empty, now_us=seconds * SECOND) for seconds in (0, 1, 5, 59)] == [0, 1, 5, 10]
    assert refilled(empty, now_us=600 * SECOND).filled_at_us == 60 * SECOND
    assert available(empty, now_us=60 * SECOND) == 0


def test_a_share_that_is_looked_at_often_loses_no_fraction() -> None:
    share = hold(SHARE, amount=10, now_us=0)
    for now in range(0, 2 * SECOND + 1, 1000):
        share = refilled(share, now_us=now)
    assert available(share, now_us=2 * SECOND) == 2


def test_a_share_tells_when_it_has_an_amount() -> None:
    share = replace(LEASE, granted=0, rate_per_minute=70, burst=10, usable_until_us=60 * SECOND)
    after_us = refilled_after_us(share, amount=10, now_us=2 * SECOND)
    # 10 units at 70 a minute are 8.571428… s, of which 2 have passed; not a microsecond too early.
    assert after_us == 6_571_429
    assert available(refilled(share, now_us=2 * SECOND + after_us - 1), now_us=0) == 9
    assert available(refilled(share, now_us=2 * SECOND + after_us), now_us=0) == 10
    assert refilled_after_us(share, amount=0, now_us=0) == 0
    assert refilled_after_us(share, amount=11, now_us=0) is None
    assert refilled_after_us(replace(share, rate_per_minute=0), amount=1, now_us=0) is None


def test_what_a_call_did_not_use_of_a_share_comes_back_less_what_was_refilled() -> None:
    held = hold(SHARE, amount=10, now_us=0)
    assert available(unhold(held, amount=8, held_for_us=0, now_us=0), now_us=0) == 8
    later = unhold(held, amount=8, held_for_us=3 * SECOND, now_us=3 * SECOND)
    assert available(later, now_us=3 * SECOND) == 8  # 3 refilled, 8 − 3 came back


def test_a_share_that_was_given_back_is_empty_for_good() -> None:
    running = hold(replace(SHARE, granted=10), amount=4, now_us=0)
    for gone in (recalled(running, recall_no=1), expired(running)):
        assert (gone.rate_per_minute, available(gone, now_us=SECOND)) == (0, 0)
        assert unhold(gone, amount=4, held_for_us=0, now_us=0) == gone


CALLS = st.lists(
    st.tuples(st.integers(0, 5 * SECOND), st.integers(1, 8), st.integers(0, 8)), max_size=20
)


@given(CALLS, st.integers(0, 60 * SECOND), st.integers(0, 60 * SECOND))
def test_any_span_sees_at_most_its_rate_and_one_burst(
    calls: list[tuple[int, int, int]], start: int, length: int
) -> None:
    share = replace(SHARE, usable_until_us=None)
    now, used = 0, []
    open_calls: list[tuple[int, int, int]] = []
    for wait, amount, unused in calls:
        now += wait
        while open_calls and len(open_calls) > 2:
            reserved_at, held, spare = open_calls.pop(0)
            share = unhold(share, amount=spare, held_for_us=now - reserved_at, now_us=now)
            used.append((reserved_at, held - spare))
        if amount <= available(share, now_us=now):
            share = hold(share, amount=amount, now_us=now)
            open_calls.append((now, amount, min(unused, amount)))
    used += [(reserved_at, held) for reserved_at, held, _ in open_calls]
    inside = sum(amount for at, amount in used if start <= at <= start + length)
    assert inside * US_PER_MINUTE <= 60 * length + 10 * US_PER_MINUTE
