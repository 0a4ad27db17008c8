"""Shares of a rate: together never more than the limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.limit.shares import (
    FreeBucket,
    RateShare,
    free_share,
    granted_share,
    poured,
    refilled,
    server_expiry,
    wanted_share,
)
from billing_server.domain.limit.sizes import Demander

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = RateShare(6000, 1000)


def share_of(number: int, *, rate: int, burst: int) -> Lease:
    return Lease(
        lease_id=bytes([number]) * 16,
        key=WindowKey("acme", "rate", "minute"),
        agent_ref=number,
        rate_per_minute=rate,
        burst=burst,
        create_time=NOON,
    )


def demander(number: int, demand: int, *, largest: int = 10) -> Demander:
    return Demander(agent_ref=number, demand_per_second=demand, largest_call=largest)


def test_what_is_free_is_what_no_share_holds() -> None:
    shares = [share_of(1, rate=2000, burst=300), share_of(2, rate=1000, burst=100)]
    assert free_share(LIMIT, leases=shares) == RateShare(3000, 600)
    assert free_share(RateShare(10, 10), leases=shares) == RateShare(0, 0)


def test_an_agent_alone_gets_all_but_a_safe_share() -> None:
    alone = demander(1, 50)
    assert wanted_share(LIMIT, asker=alone, demanders=[alone]) == RateShare(4500, 750)


def test_agents_share_a_rate_in_proportion_to_their_demand() -> None:
    both = [demander(1, 10), demander(2, 30)]
    assert wanted_share(LIMIT, asker=both[0], demanders=both) == RateShare(1500, 250)
    assert wanted_share(LIMIT, asker=both[1], demanders=both) == RateShare(4500, 750)


def test_a_burst_holds_one_largest_call_and_never_more_than_the_limits_own() -> None:
    both = [demander(1, 10, largest=900), demander(2, 30, largest=5000)]
    assert wanted_share(LIMIT, asker=both[0], demanders=both).burst == 900
    assert wanted_share(LIMIT, asker=both[1], demanders=both).burst == 1000


def test_no_more_is_given_than_is_free_and_a_share_without_rate_or_burst_is_none() -> None:
    assert granted_share(RateShare(500, 50), free=RateShare(200, 80)) == RateShare(200, 50)
    assert granted_share(RateShare(500, 50), free=RateShare(200, 0)) == RateShare(0, 0)
    assert granted_share(RateShare(500, 50), free=RateShare(0, 80)) == RateShare(0, 0)


def test_what_nobody_holds_fills_up_to_its_part_of_the_burst() -> None:
    bucket = FreeBucket(10, RateShare(600, 100), NOON)
    assert bucket.tokens_at(NOON) == 10
    assert bucket.tokens_at(NOON + timedelta(seconds=5)) == 60
    assert bucket.tokens_at(NOON + timedelta(hours=1)) == 100
    assert bucket.tokens_at(NOON - timedelta(hours=1)) == 10


def test_a_share_starts_with_what_was_free_and_leaves_the_rest() -> None:
    bucket = FreeBucket(80, RateShare(600, 100), NOON)
    after, tokens = poured(bucket, share=RateShare(450, 75))
    assert (after, tokens) == (FreeBucket(5, RateShare(150, 25), NOON), 75)
    after, tokens = poured(after, share=RateShare(150, 25))
    assert (after, tokens) == (FreeBucket(0, RateShare(0, 0), NOON), 5)


def test_a_share_that_came_back_lets_the_free_bucket_grow_from_now_on() -> None:
    later = NOON + timedelta(seconds=60)
    bucket = FreeBucket(5, RateShare(150, 25), NOON)
    # While 75 of the burst were held, what is free held 25 at most.
    assert refilled(bucket, free=LIMIT, now=later) == FreeBucket(25, LIMIT, later)
    assert refilled(bucket, free=RateShare(600, 10), now=later).tokens == 10
    assert refilled(None, free=LIMIT, now=later) == FreeBucket(0, LIMIT, later)


SHARE_STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.builds(RateShare, st.integers(1, 6000), st.integers(1, 1000)),
        st.integers(0, 90),
        st.booleans(),
    ),
    max_size=30,
)


@given(SHARE_STEPS)
def test_buckets_together_never_hold_more_than_the_one_of_the_limit(
    steps: list[tuple[int, RateShare, int, bool]],
) -> None:
    """Shares come and go, agents spend all that they have or nothing: at no time is there more."""
    now, spent = NOON, 0
    held: dict[int, FreeBucket] = {}
    free_bucket = FreeBucket(LIMIT.burst, LIMIT, NOON)
    for number, wanted, seconds, is_spent in steps:
        now += timedelta(seconds=seconds)
        held = {
            each: FreeBucket(bucket.tokens_at(now), bucket.size, now)
            for each, bucket in held.items()
        }
        if is_spent:
            spent += sum(bucket.tokens for bucket in held.values())
            held = {each: replace(bucket, tokens=0) for each, bucket in held.items()}
        held.pop(number, None)
        shares = [
            share_of(each, rate=bucket.size.rate_per_minute, burst=bucket.size.burst)
            for each, bucket in held.items()
        ]
        free = free_share(LIMIT, leases=shares)
        free_bucket = refilled(free_bucket, free=free, now=now)
        share = granted_share(wanted, free=free)
        if share.burst:
            free_bucket, tokens = poured(free_bucket, share=share)
            held[number] = FreeBucket(tokens, share, now)
        there = free_bucket.tokens + sum(bucket.tokens for bucket in held.values())
        elapsed = (now - NOON) // timedelta(seconds=1)
        assert there <= LIMIT.burst
        assert (spent + there) * 60 <= LIMIT.burst * 60 + LIMIT.rate_per_minute * elapsed


def test_the_server_takes_a_lease_for_over_after_its_agent_does() -> None:
    assert server_expiry() == timedelta(seconds=62.06)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 2000)), min_size=1, max_size=6))
def test_shares_given_one_after_another_never_pass_the_limit(rows: list[tuple[int, int]]) -> None:
    demanders = [
        demander(number, demand, largest=largest) for number, (demand, largest) in enumerate(rows)
    ]
    held: list[Lease] = []
    for asker in demanders:
        wanted = wanted_share(LIMIT, asker=asker, demanders=demanders)
        given_ = granted_share(wanted, free=free_share(LIMIT, leases=held))
        held.append(share_of(asker.agent_ref, rate=given_.rate_per_minute, burst=given_.burst))
    assert sum(each.rate_per_minute for each in held) <= LIMIT.rate_per_minute
    assert sum(each.burst for each in held) <= LIMIT.burst
