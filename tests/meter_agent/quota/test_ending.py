"""Settling and releasing: in one commit with the usage event; again, late, and elsewhere."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meter_agent.core.quota.decide import Reach
from meter_agent.core.quota.reservation import EndKind, expired, returned
from meter_agent.quota import ending as module
from meter_agent.quota import reserving
from meter_agent.quota.answers import Denied, Ended
from metering.api.v1 import lease_pb2
from metering.api.v1.usage_pb2 import (
    SETTLEMENT_KIND_ELSEWHERE,
    SETTLEMENT_KIND_LATE,
    SETTLEMENT_KIND_RELEASED,
    SETTLEMENT_KIND_SETTLED,
)
from metering.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from metering.ids import settlement_event_id
from tests.meter_agent.quota.world import DAILY, LEASE_ID, QuotaWorld, asked, cap, ending, limit


def held(directory: Path, granted: int = 500) -> QuotaWorld:
    """Returns a world with a lease, of which r-1 holds 100."""
    world = QuotaWorld(directory)
    world.tell(limit())
    world.lease(granted)
    reserve(world)
    return world


def reserve(world: QuotaWorld) -> None:
    made = asked(dimensions={"model": "large"})
    world.run(lambda: reserving.reserve(made, counter=world.counter, reach=Reach.ANSWERED))


def end(world: QuotaWorld, *args: Any, **fields: Any) -> Ended:
    made = ending(*args, **fields)
    answer, _ = world.run(lambda: module.end(made, counter=world.counter))
    return answer


def test_a_settlement_records_what_was_used_and_frees_the_rest_at_once(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        answer = end(world)
        assert answer == Ended(settlement_event_id("acme", "r-1"), SETTLEMENT_KIND_SETTLED, {})
        lease = world.the_lease()
        assert (lease.consumed, lease.held, lease.free) == (60, 0, 440)
        [event] = world.events()
        assert (event.event_id, dict(event.quantities)) == (answer.event_id, {"output": "60"})
        assert dict(event.dimensions) == {"model": "large"}
        assert [(item.lease_id, item.amount) for item in event.debits] == [(LEASE_ID, 60)]
        assert event.settlement.reservation_id == "r-1"
        assert not event.HasField("event_time")


def test_settling_again_is_answered_the_same_and_records_nothing(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        assert end(world) == end(world)
        assert len(world.events()) == 1
        assert world.the_lease().consumed == 60


def test_settling_with_other_numbers_is_refused(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        end(world)
        with pytest.raises(AlreadyExistsError) as caught:
            end(world, output="61")
        assert caught.value.reason == "SETTLEMENT_CONFLICT"
        with pytest.raises(AlreadyExistsError):
            end(world, output="60", kind=EndKind.RELEASE)
        assert len(world.events()) == 1


def test_more_than_was_granted_is_recorded_and_told(tmp_path: Path) -> None:
    with held(tmp_path, granted=120) as world:
        answer = end(world, output="150")
        assert answer.overrun == {"output": Decimal(50)}
        assert world.the_lease().consumed == 120
        assert world.counter.figures.overrun == {DAILY: 30}
        [event] = world.events()
        assert [item.amount for item in event.debits] == [120]


def test_a_release_gives_all_back_and_records_nothing(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        answer = end(world, output=None, kind=EndKind.RELEASE)
        assert (answer.event_id, answer.kind) == ("", SETTLEMENT_KIND_RELEASED)
        assert (world.the_lease().free, world.events()) == (500, [])
        assert end(world, output=None, kind=EndKind.RELEASE) == answer


def test_a_release_keeps_what_was_incurred(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        answer = end(world, output="5", kind=EndKind.RELEASE)
        assert answer.event_id == settlement_event_id("acme", "r-1")
        assert world.the_lease().consumed == 5


def test_a_late_settlement_replaces_what_was_presumed(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        [found] = world.book.all_reservations()
        world.run(lambda: world.book.put_reservation(expired(found)))
        answer = end(world)
        assert answer.kind == SETTLEMENT_KIND_LATE
        assert (world.the_lease().consumed, world.the_lease().held) == (60, 0)
        assert end(world) == answer


def test_a_settlement_after_the_hold_went_back_leaves_the_list_of_the_unsettled(
    tmp_path: Path,
) -> None:
    with held(tmp_path) as world:
        [found] = world.book.all_reservations()
        world.run(
            lambda: world.book.put_reservation(returned(expired(found), expiry_event_id="guess-1"))
        )
        assert world.book.unsettled_count == 1
        answer = end(world)
        assert answer.kind == SETTLEMENT_KIND_LATE
        assert world.book.unsettled_count == 0
        [event] = world.events()
        assert event.settlement.voids_event_id == "guess-1"


def test_a_release_of_nothing_still_takes_a_guess_back(tmp_path: Path) -> None:
    with held(tmp_path) as world:
        [found] = world.book.all_reservations()
        guessed = returned(expired(found), expiry_event_id="guess-1")
        world.run(lambda: world.book.put_reservation(guessed))
        answer = end(world, output=None, kind=EndKind.RELEASE)
        [event] = world.events()
        assert (event.event_id, dict(event.quantities)) == (answer.event_id, {"output": "0"})
        assert event.settlement.voids_event_id == "guess-1"
        assert end(world, output=None, kind=EndKind.RELEASE) == answer


def test_a_reservation_of_another_agent_is_recorded_and_flagged(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(40)
        with pytest.raises(NotFoundError) as caught:
            end(world, "r-9")
        assert caught.value.reason == "RESERVATION_UNKNOWN"
        answer = end(world, "r-9", customer_id="acme")
        assert answer.kind == SETTLEMENT_KIND_ELSEWHERE
        [event] = world.events()
        assert [item.amount for item in event.debits] == [40]
        assert event.settlement.kind == SETTLEMENT_KIND_ELSEWHERE
        assert end(world, "r-9", customer_id="acme") == answer
        with pytest.raises(AlreadyExistsError):
            end(world, "r-9", output="61", customer_id="acme")


def test_a_repeat_is_answered_the_same_where_the_machine_does_not_name_its_boot(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        world.clock.boot_id = ""
        world.tell(limit())
        world.lease(100)
        reserve(world)
        answer = end(world)
        assert answer.kind == SETTLEMENT_KIND_SETTLED
        assert end(world) == answer


def test_what_was_ended_here_before_it_was_reserved_has_ended(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        end(world, output=None, kind=EndKind.RELEASE, customer_id="acme")
        with pytest.raises(InvalidStateError) as caught:
            reserve(world)
        assert caught.value.reason == "RESERVATION_ENDED"
        assert world.the_lease().held == 0


def test_a_reservation_of_another_customer_is_not_settled(tmp_path: Path) -> None:
    with held(tmp_path) as world, pytest.raises(AlreadyExistsError, match="another customer"):
        end(world, customer_id="other")


def test_a_slot_comes_back_and_is_no_debit(tmp_path: Path) -> None:
    slots = limit("slots", kind=lease_pb2.LIMIT_KIND_CONCURRENCY, quantity="", max=1)
    with QuotaWorld(tmp_path) as world:
        world.tell(slots)
        world.lease(1, "slots")
        world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
        assert world.the_lease("slots").free == 0
        end(world)
        assert world.the_lease("slots").free == 1
        [event] = world.events()
        assert list(event.debits) == []


def test_calls_beyond_a_tiers_border_are_debited_at_its_price(tmp_path: Path) -> None:
    # 10 x 0.01 + 45 x 0.02 = 1.00
    with QuotaWorld(tmp_path) as world:
        world.tell(cap())
        world.lease(1_000_000, "cap")
        names = [f"r-{number}" for number in range(60)]
        for name in names:
            made = asked(name, quantities={"output": "1"})
            answer = world.run(
                lambda made=made: reserving.reserve(
                    made, counter=world.counter, reach=Reach.ANSWERED
                )
            )
            if isinstance(answer, Denied):
                break
            end(world, name, output="1")
        debits = [item.amount for event in world.events() for item in event.debits]
        assert debits == [10_000] * 10 + [20_000] * 45
        assert world.the_lease("cap").consumed == 1_000_000
        assert world.counter.figures.overrun == {}


def test_a_call_that_ends_elsewhere_is_debited_from_where_the_customer_stands(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(cap())
        world.lease(1_000_000, "cap")
        end(world, "r-1", output="10", customer_id="acme")
        end(world, "r-2", output="5", customer_id="acme")
        debits = [item.amount for event in world.events() for item in event.debits]
        assert debits == [100_000, 100_000]
