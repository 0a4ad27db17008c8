"""Lease sizes: shares by demand, hysteresis, floats, the tail, and what is recalled."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.lease import Lease, WindowKey, recalled
from billing_server.domain.limit.sizes import (
    Demander,
    acquired,
    excess,
    is_tail,
    lease_sizes,
    to_recall,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def demander(
    number: int, demand: int, *, free: int = 0, largest: int = 1, outage: int = 0
) -> Demander:
    return Demander(
        agent_ref=number,
        demand_per_second=demand,
        free=free,
        largest_call=largest,
        outage_float=outage,
    )


def lease(number: int, *, agent_ref: int, granted: int, held: int = 0) -> Lease:
    return Lease(
        lease_id=bytes([number]) * 16,
        key=WindowKey("acme", "tokens", "w"),
        agent_ref=agent_ref,
        granted=granted,
        held=held,
        create_time=NOON,
    )


def test_agents_get_half_of_what_is_left_in_proportion_to_their_demand() -> None:
    sizes = lease_sizes(1000, maximum=1000, demanders=[demander(1, 100), demander(2, 300)])
    assert sizes == {1: 125, 2: 375}


def test_a_lease_covers_fifteen_seconds_of_demand_where_plenty_is_left() -> None:
    sizes = lease_sizes(10_000, maximum=10_000, demanders=[demander(1, 10)])
    assert sizes == {1: 150}


def test_a_lease_is_renewed_once_half_of_it_is_used() -> None:
    def grants(free: int) -> dict[int, int]:
        demanders = [demander(1, 10, free=free)]
        return lease_sizes(10_000, maximum=10_000, demanders=demanders)

    assert grants(76) == {}
    assert grants(75) == {1: 75}


def test_a_lease_holds_at_least_one_largest_call() -> None:
    sizes = lease_sizes(10_000, maximum=10_000, demanders=[demander(1, 1, largest=400)])
    assert sizes == {1: 400}


def test_an_outage_float_is_kept_only_while_a_fifth_of_the_limit_is_left() -> None:
    demanders = [demander(1, 1, outage=600)]
    assert lease_sizes(2001, maximum=10_000, demanders=demanders) == {1: 600}
    assert lease_sizes(2000, maximum=10_000, demanders=demanders) == {1: 15}


def test_in_the_tail_no_lease_stands_and_every_call_is_asked_for() -> None:
    demanders = [demander(1, 100, largest=50), demander(2, 100, largest=50)]
    assert lease_sizes(200, maximum=10_000, demanders=demanders) == {}
    assert lease_sizes(201, maximum=10_000, demanders=demanders) == {1: 50, 2: 50}
    assert is_tail(200, demanders=demanders)
    assert not is_tail(201, demanders=demanders)
    assert is_tail(0, demanders=[])


def test_agents_without_demand_are_given_nothing() -> None:
    sizes = lease_sizes(1000, maximum=1000, demanders=[demander(1, 0), demander(2, 10)])
    assert sizes == {2: 150}


def test_a_cold_customer_acquires_its_call_and_a_small_float() -> None:
    assert acquired(wanted=10, least=10, left=10_000, demanders=[]) == 50
    assert acquired(wanted=1000, least=1000, left=10_000, demanders=[]) == 1562  # + 9000 // 16


def test_in_the_tail_an_acquisition_is_exact() -> None:
    demanders = [demander(1, 5, largest=100)]
    assert acquired(wanted=10, least=10, left=200, demanders=demanders) == 10
    assert acquired(wanted=10, least=4, left=6, demanders=demanders) == 6
    assert acquired(wanted=10, least=7, left=6, demanders=demanders) == 0
    assert acquired(wanted=10, least=0, left=0, demanders=demanders) == 0


def test_before_a_refusal_the_idlest_leases_of_others_are_recalled() -> None:
    own = lease(1, agent_ref=1, granted=500)
    idle, idler = lease(2, agent_ref=2, granted=100), lease(3, agent_ref=3, granted=300)
    busy = lease(4, agent_ref=4, granted=400, held=400)
    leases = [own, idle, idler, busy]
    assert to_recall(leases, missing=300, asker_ref=1, now=NOON) == (idler,)
    assert to_recall(leases, missing=301, asker_ref=1, now=NOON) == (idler, idle)


def test_a_recall_that_waits_for_its_answer_is_counted_and_not_repeated() -> None:
    waiting = recalled(lease(1, agent_ref=2, granted=300))
    other = lease(2, agent_ref=3, granted=100)
    assert to_recall([waiting, other], missing=300, asker_ref=1, now=NOON) == ()
    assert to_recall([waiting, other], missing=301, asker_ref=1, now=NOON) == (other,)


def test_a_recall_that_was_waited_for_in_vain_is_not_counted() -> None:
    waiting = recalled(lease(1, agent_ref=2, granted=300))
    other = lease(2, agent_ref=3, granted=100)
    in_vain = {waiting.lease_id, other.lease_id}  # The other one has answered since.
    found = to_recall([waiting, other], missing=100, asker_ref=1, now=NOON, in_vain=in_vain)
    assert found == (other,)


def test_holds_that_were_told_of_a_while_ago_may_have_ended() -> None:
    busy = replace(lease(1, agent_ref=2, granted=300, held=300), report_time=NOON)
    idle = lease(2, agent_ref=3, granted=10)
    later = NOON + timedelta(seconds=1)
    assert to_recall([busy, idle], missing=50, asker_ref=1, now=NOON) == (idle,)
    assert to_recall([busy, idle], missing=50, asker_ref=1, now=later) == (idle, busy)
    assert to_recall([busy, idle], missing=10, asker_ref=1, now=later) == (idle,)


def test_a_lowered_limit_has_an_excess() -> None:
    assert (excess(120, maximum=100), excess(90, maximum=100)) == (20, 0)


DEMANDERS = st.lists(
    st.tuples(
        st.integers(0, 1000), st.integers(0, 5000), st.integers(0, 500), st.integers(0, 9000)
    ),
    max_size=6,
).map(
    lambda rows: [
        demander(number, demand, free=free, largest=largest, outage=outage)
        for number, (demand, free, largest, outage) in enumerate(rows)
    ]
)


@given(st.integers(0, 20_000), DEMANDERS)
def test_a_round_never_hands_out_more_than_half_of_what_is_left(
    left: int, demanders: list[Demander]
) -> None:
    sizes = lease_sizes(left, maximum=20_000, demanders=demanders)
    assert sum(sizes.values()) <= left // 2
    assert all(amount > 0 for amount in sizes.values())


@given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 5000), DEMANDERS)
def test_an_acquisition_stays_within_what_is_left_and_never_below_the_least(
    wanted: int, least: int, left: int, demanders: list[Demander]
) -> None:
    least = min(least, wanted)
    amount = acquired(wanted=wanted, least=least, left=left, demanders=demanders)
    assert amount == 0 or least <= amount <= left
    assert amount > 0 or left < max(least, 1)
