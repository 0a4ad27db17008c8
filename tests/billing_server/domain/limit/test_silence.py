"""Silent, lost and restored: what becomes of leases that nobody speaks for."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.domain.limit.silence import (
    LOST_EPHEMERAL_AFTER,
    after_silence,
    expire_time_from,
    may_grant_after_restore,
    slots_are_free_at,
)
from metering.limits import LimitKind, SilencePolicy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = Lease(
    lease_id=bytes(16),
    key=WindowKey("acme", "tokens", "w"),
    agent_ref=1,
    granted=10,
    create_time=NOON,
)


@pytest.mark.parametrize(
    ("policy", "silent_for", "state"),
    [
        (SilencePolicy.HOLD, timedelta(days=6), LeaseState.LIVE),
        (SilencePolicy.HOLD, timedelta(days=7), LeaseState.WRITTEN_OFF),
        (SilencePolicy.RECLAIM, timedelta(seconds=29), LeaseState.LIVE),
        (SilencePolicy.RECLAIM, timedelta(seconds=30), LeaseState.RECLAIMED),
        (SilencePolicy.RECLAIM, timedelta(days=7), LeaseState.WRITTEN_OFF),
    ],
)
def test_silence_holds_or_frees_a_lease_as_its_limit_says_and_a_lost_agent_used_it(
    policy: SilencePolicy, silent_for: timedelta, state: LeaseState
) -> None:
    assert after_silence(LEASE, unconfirmed=policy, silent_for=silent_for).state is state


def test_an_ephemeral_agent_is_lost_after_an_hour() -> None:
    found = after_silence(
        LEASE,
        unconfirmed=SilencePolicy.HOLD,
        silent_for=timedelta(hours=1),
        lost_after=LOST_EPHEMERAL_AFTER,
    )
    assert found.state is LeaseState.WRITTEN_OFF


def test_only_slots_of_a_silent_agent_come_free_by_time() -> None:
    slots = Lease(
        lease_id=bytes(16), key=LEASE.key, agent_ref=1, expire_time=NOON, create_time=NOON
    )
    hour = timedelta(hours=1)
    assert slots_are_free_at(slots, kind=LimitKind.CONCURRENCY, max_hold=hour) == NOON + hour
    assert slots_are_free_at(slots, kind=LimitKind.CONCURRENCY, max_hold=None) == NOON
    assert slots_are_free_at(slots, kind=LimitKind.UNITS, max_hold=hour) is None
    assert slots_are_free_at(LEASE, kind=LimitKind.CONCURRENCY, max_hold=hour) is None


def test_the_servers_time_of_a_lease_is_over_after_its_agents() -> None:
    assert expire_time_from(NOON) == NOON + timedelta(seconds=62.06)


def test_a_restored_server_grants_once_every_agent_was_heard_or_its_quarantine_is_over() -> None:
    def may(*, minutes: int, unheard: list[int]) -> bool:
        return may_grant_after_restore(
            restored_at=NOON, now=NOON + timedelta(minutes=minutes), unheard_refs=unheard
        )

    assert not may(minutes=9, unheard=[2])
    assert may(minutes=1, unheard=[])
    assert may(minutes=10, unheard=[2])
    assert may_grant_after_restore(restored_at=None, now=NOON, unheard_refs=[2])
