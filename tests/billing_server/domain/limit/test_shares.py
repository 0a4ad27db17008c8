"""Shares of a rate: together never more than the limit."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.limit.shares import (
    RateShare,
    first_tokens,
    free_share,
    granted_share,
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


def test_a_bucket_starts_full_only_where_nobody_could_use_the_limit_for_long_enough() -> None:
    share = RateShare(600, 100)
    assert first_tokens(share, quiet=None) == 100
    assert first_tokens(share, quiet=timedelta(0)) == 0
    assert first_tokens(share, quiet=timedelta(seconds=5)) == 50
    assert first_tokens(share, quiet=timedelta(hours=1)) == 100


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
