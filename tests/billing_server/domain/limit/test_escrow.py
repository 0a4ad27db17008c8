"""The escrow of a window: only a grant raises what is taken or unknown, and within the budget."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.escrow import Bound, Escrow, escrow_of
from billing_server.domain.limit.lease import (
    Lease,
    LeaseState,
    WindowKey,
    debited,
    granted,
    reclaimed,
    written_off,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = WindowKey("acme", "tokens", "w")
LEASE = Lease(lease_id=bytes(16), key=KEY, agent_ref=1, create_time=NOON)


def lease(rest: int, state: LeaseState) -> Lease:
    return replace(LEASE, granted=rest, state=state)


def test_each_state_counts_into_its_own_term() -> None:
    leases = [
        lease(10, LeaseState.LIVE),
        lease(5, LeaseState.LIVE),
        lease(20, LeaseState.RECLAIMED),
        lease(30, LeaseState.WRITTEN_OFF),
        lease(40, LeaseState.CLOSED),
    ]
    escrow = escrow_of(7, leases=leases)
    assert escrow == Escrow(settled=7, out=15, unknown=20, presumed=30)
    assert escrow.taken == 52  # 7 + 30 + 15


def test_held_leases_of_silent_agents_leave_nothing_beyond_the_limit() -> None:
    escrow = Escrow(settled=40, out=30, presumed=10)
    assert escrow.left(maximum=100) == 20
    assert escrow.left(maximum=80) == 0
    assert escrow.left(maximum=50) == 0


def test_reclaimed_leases_are_granted_again_only_within_the_bound() -> None:
    escrow = Escrow(settled=40, out=0, unknown=50)
    # Within the limit 60 are left; within the bound 100 + U_max − 90.
    assert escrow.left(maximum=100) == 10
    assert escrow.left(maximum=100, unknown_max=30) == 40
    assert escrow.left(maximum=100, unknown_max=500) == 60


def test_the_bound_counts_nothing_twice() -> None:
    assert Bound(escrow=Escrow(settled=40, out=60), maximum=100).total == 100
    # What went past the limit is in what is settled; no grant adds to it.
    past = Escrow(settled=90, out=5, unknown=8, presumed=10)
    assert Bound(escrow=past, maximum=100).total == 113
    assert Bound(escrow=past, maximum=100, unknown_max=20).total == 120
    # What may still be used beside the escrow comes on top.
    bound = Bound(escrow=past, maximum=100, allowance_left=3, released=2, burst=1)
    assert bound.total == 113 + 3 + 2 + 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "return", "settle", "reclaim", "write_off"]),
        st.integers(0, 2),
        st.integers(1, 40),
    ),
    max_size=25,
)


@given(STEPS, st.integers(0, 30))
def test_no_step_ever_takes_more_than_the_limit_and_what_may_be_unknown(
    steps: list[tuple[str, int, int]], unknown_max: int
) -> None:
    maximum, settled = 100, 0
    bounds: list[int] = []
    leases = [replace(LEASE, lease_id=bytes([number])) for number in range(3)]
    for step, number, amount in steps:
        held = leases[number]
        if step == "grant":
            left = escrow_of(settled, leases=leases).left(maximum=maximum, unknown_max=unknown_max)
            if held.state is LeaseState.LIVE:
                leases[number] = granted(held, amount=min(amount, left))
        elif step == "return":
            leases[number] = replace(held, returned=held.returned + min(amount, held.rest))
        elif step == "settle":
            spent = min(amount, held.rest)
            settled += spent
            leases[number] = debited(held, amount=spent)
        else:
            leases[number] = reclaimed(held) if step == "reclaim" else written_off(held)
        escrow = escrow_of(settled, leases=leases)
        assert escrow.taken + escrow.unknown <= maximum + unknown_max
        bounds.append(Bound(escrow=escrow, maximum=maximum, unknown_max=unknown_max).total)
    assert all(settled <= bound for bound in bounds)
