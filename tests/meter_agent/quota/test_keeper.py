"""The keeper's thread does what is due and survives what goes wrong."""

from pathlib import Path

import pytest

from meter_agent.core.quota.decide import Reach
from meter_agent.quota import keeper as module
from meter_agent.quota import reserving
from meter_agent.quota.keeper import Keeper
from metering.api.v1 import lease_pb2
from tests.meter_agent.quota.world import QuotaWorld, asked, limit
from tests.meter_agent.support import wait_until


def keeper_of(world: QuotaWorld) -> Keeper:
    return Keeper(
        world.counter,
        writer=world.store.writer,
        earliest_kept_seq=lambda: 1,
        late_us=0,
    )


def reserve(world: QuotaWorld) -> None:
    world.tell(limit())
    world.lease(500)
    world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
    world.clock.pass_seconds(120)


def test_a_tick_does_what_is_due_and_then_nothing(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        reserve(world)
        keeper = keeper_of(world)
        assert keeper.tick()
        assert world.the_lease().held == 0
        assert not keeper.tick()
        world.clock.pass_seconds(40 * 86_400)
        keeper.prune()
        assert world.book.unsettled_count == 0


def test_a_closed_share_goes_once_a_later_event_is_deleted(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit("rpm", kind=lease_pb2.LIMIT_KIND_RATE))
        world.lease(60, "rpm", burst=60, is_closed=True)
        earliest = iter([3, 3, 4])
        keeper = Keeper(
            world.counter,
            writer=world.store.writer,
            earliest_kept_seq=lambda: next(earliest),
            late_us=0,
            next_seq=lambda: 3,
        )
        assert [keeper.tick(), keeper.tick(), keeper.tick()] == [False, False, True]
        assert world.book.all_leases() == []


def test_the_thread_keeps_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    with QuotaWorld(tmp_path) as world:
        reserve(world)
        keeper = keeper_of(world)
        calls = []
        monkeypatch.setattr(keeper, "prune", lambda: calls.append(1) or 1 / 0)
        keeper.start()
        wait_until(lambda: world.the_lease().held == 0 and len(calls) >= 2)
        keeper.stop()
