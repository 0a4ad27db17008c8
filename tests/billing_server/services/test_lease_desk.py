"""What lease work shares: when a lease is over, and when a restored server grants."""

from datetime import timedelta

import pytest

from billing_server.domain.limit.lease import LeaseState
from billing_server.services.lease_desk import lock_calling_disk, may_grant, told_lease
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AuthenticationError
from tests.billing_server.ingest_world import NOON
from tests.billing_server.lease_world import LeaseWorld
from tests.billing_server.store.limit_rows import account, lease

HOUR = timedelta(hours=1)


def test_a_lease_may_be_used_until_its_window_ends_or_its_time_is_over() -> None:
    held = told_lease(lease(1), account=account(start=None, end=NOON + HOUR), now=NOON)
    assert (held.remaining, held.starts_after, held.is_closed) == (HOUR, None, False)
    timed = told_lease(lease(1, expire_time=NOON), account=None, now=NOON)
    assert timed.remaining == timedelta(seconds=60)
    assert told_lease(lease(1), account=None, now=NOON).remaining is None
    over = told_lease(lease(1), account=account(end=NOON), now=NOON + HOUR)
    assert over.is_closed
    assert told_lease(lease(1, state=LeaseState.WRITTEN_OFF), account=None, now=NOON).is_closed


def test_a_lease_of_the_next_window_may_not_be_used_yet() -> None:
    early = told_lease(lease(1), account=account(start=NOON + HOUR, end=None), now=NOON)
    assert early.starts_after == HOUR


def test_a_server_that_was_never_restored_grants(store: SqlStore) -> None:
    with store.write() as unit:
        assert may_grant(unit, now=NOON)


def test_a_revoked_agent_gets_no_answer(store: SqlStore) -> None:
    world = LeaseWorld(store)
    agent = world.leasing()
    with store.write() as unit:
        unit.agents.revoke(agent.agent.agent_id, at=NOON)
    with store.write() as unit, pytest.raises(AuthenticationError, match="enroll it again"):
        lock_calling_disk(unit, agent=agent.agent, disk_id=agent.disk_id)
