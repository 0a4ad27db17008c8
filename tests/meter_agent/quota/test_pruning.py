"""Rows of reservations that may go."""

from pathlib import Path

from meter_agent.core.quota.decide import Reach
from meter_agent.quota import ending as ending_module
from meter_agent.quota import keeping, reserving
from meter_agent.quota.pruning import Pruning
from tests.meter_agent.quota.world import QuotaWorld, asked, ending, limit

MINUTE = 60


def reserve(world: QuotaWorld, **fields: object) -> None:
    made = asked(**fields)
    world.run(lambda: reserving.reserve(made, counter=world.counter, reach=Reach.ANSWERED))


def reserve_and_end(world: QuotaWorld) -> None:
    world.tell(limit())
    world.lease(500)
    reserve(world)
    world.run(lambda: ending_module.end(ending(), counter=world.counter))


def keep(world: QuotaWorld) -> None:
    due = keeping.due(world.counter, earliest_kept_seq=1)
    world.run(lambda: keeping.keep(due, counter=world.counter, earliest_kept_seq=1))


def test_ended_reservations_go_after_a_while_and_unsettled_ones_much_later(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        pruning = Pruning(world.counter)
        reserve_and_end(world)
        reserve(world, reservation_id="r-2")
        world.clock.pass_seconds(17 * MINUTE)
        keep(world)
        keep(world)
        assert world.run(pruning.prune) == 1
        assert world.book.unsettled_count == 1
        world.clock.pass_seconds(36 * 86_400)
        assert world.run(pruning.prune) == 1
        assert world.book.unsettled_count == 0


def test_a_wall_clock_that_is_set_forward_ages_no_row(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        pruning = Pruning(world.counter)
        reserve_and_end(world)
        world.clock.set_wall(3_600.0)
        assert world.run(pruning.prune) == 0
        world.clock.pass_seconds(14 * MINUTE)
        assert world.run(pruning.prune) == 0
        world.clock.pass_seconds(MINUTE)
        assert world.run(pruning.prune) == 1


def test_a_wall_clock_that_is_set_back_keeps_rows_longer_and_a_small_step_forward_changes_nothing(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        pruning = Pruning(world.counter)
        reserve_and_end(world)
        world.clock.pass_seconds(16 * MINUTE)
        world.clock.set_wall(-10 * MINUTE)
        assert world.run(pruning.prune) == 0
        world.clock.set_wall(60.0)
        world.clock.pass_seconds(9 * MINUTE)
        assert world.run(pruning.prune) == 1
