"""Reserving and extending: what is held, what is refused, what is asked."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, DenialReason, Reach, Verdict
from meter_agent.core.quota.reservation import EndKind, content_of, expired
from meter_agent.quota import ending, reserving
from meter_agent.quota.answers import Answer, Denied, Granted, Question
from meter_agent.quota.reserving import Extend, Reserve
from metering.api.v1 import lease_pb2
from metering.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from tests.meter_agent.quota.world import DAILY, QuotaWorld, asked, limit
from tests.meter_agent.quota.world import ending as ending_of


def reserve(world: QuotaWorld, made: Reserve, reach: Reach = Reach.ANSWERED) -> Answer:
    return world.run(lambda: reserving.reserve(made, counter=world.counter, reach=reach))


def extend(world: QuotaWorld, more: str | None, **fields: Any) -> Answer:
    quantities = {} if more is None else {"output": Decimal(more)}
    made = Extend(
        reservation_id=fields.pop("reservation_id", "r-1"),
        request_id=fields.pop("request_id", ""),
        quantities=quantities,
        content=content_of(quantities=quantities),
        **fields,
    )
    return world.run(lambda: reserving.extend(made, counter=world.counter, reach=Reach.ANSWERED))


def granted(answer: Answer) -> dict[str, Decimal]:
    assert isinstance(answer, Granted)
    return dict(answer.reservation.granted)


def test_a_grant_is_held_in_its_lease(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(250)
        assert granted(reserve(world, asked())) == {"output": Decimal(100)}
        assert granted(reserve(world, asked("r-2"))) == {"output": Decimal(100)}
        assert world.the_lease().held == 200
        denied = reserve(world, asked("r-3"))
        assert isinstance(denied, Denied)
        assert denied.passed.denial.reason is DenialReason.LIMIT_REACHED
        assert denied.passed.limit is not None
        assert world.the_lease().held == 200
        assert world.counter.figures.refused == {(DAILY, "LIMIT_REACHED"): 1}


def test_less_is_granted_where_the_caller_takes_less(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(30)
        answer = reserve(world, asked(minimum={"output": "10"}))
        assert granted(answer) == {"output": Decimal(30)}
        assert isinstance(answer, Granted)
        assert answer.is_partial


def test_a_shortage_is_asked_for_before_it_is_refused(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(30)
        answer = reserve(world, asked(), Reach.ASKABLE)
        assert isinstance(answer, Question)
        assert [(item.wanted, item.missing) for item in answer.shortages] == [(100, 70)]
        assert world.the_lease().held == 0


def test_a_retry_is_answered_the_same_and_other_content_is_refused(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        first = reserve(world, asked())
        assert granted(reserve(world, asked())) == granted(first)
        assert world.the_lease().held == 100
        with pytest.raises(AlreadyExistsError, match="other content"):
            reserve(world, asked(quantities={"output": "99"}))
        with pytest.raises(AlreadyExistsError, match="another customer"):
            reserve(world, asked(customer_id="other"))


def test_a_retry_under_an_id_that_was_given_back_meanwhile_is_refused(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        reserve(world, asked())
        given_back = ending_of(output=None, kind=EndKind.RELEASE)
        world.run(lambda: ending.end(given_back, counter=world.counter))
        with pytest.raises(InvalidStateError, match="released; make a new id"):
            reserve(world, asked())
        assert world.the_lease().held == 0


def test_a_meter_without_a_limit_is_granted_whole(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        answer = reserve(world, asked(quantities={"images": "3"}))
        assert granted(answer) == {"images": Decimal(3)}


def test_a_customer_that_was_never_heard_of_is_asked_for(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        assert reserve(world, asked(), Reach.ASKABLE) == Question(())
        away = reserve(world, asked(), Reach.AWAY)
        assert isinstance(away, Denied)
        assert away.passed.denial.reason is DenialReason.SERVER_AWAY
        world.tell(is_unknown=True)
        unknown = reserve(world, asked())
        assert isinstance(unknown, Denied)
        assert unknown.passed.denial.reason is DenialReason.CUSTOMER_UNKNOWN


def test_without_a_server_there_are_no_limits(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path, has_server=False) as world:
        answer = reserve(world, asked(), Reach.AWAY)
        assert granted(answer) == {"output": Decimal(100)}


def test_closed_refuses_allowance_grants_up_to_it_and_open_grants(tmp_path: Path) -> None:
    policies = (
        lease_pb2.OFFLINE_POLICY_CLOSED,
        lease_pb2.OFFLINE_POLICY_ALLOWANCE,
        lease_pb2.OFFLINE_POLICY_OPEN,
    )
    granted_counts = []
    for number, policy in enumerate(policies):
        directory = tmp_path / str(number)
        directory.mkdir()
        with QuotaWorld(directory) as world:
            world.tell(limit(when_offline=policy, allowance=250))
            answers = [reserve(world, asked(f"r-{name}"), Reach.AWAY) for name in range(4)]
            granted_counts.append(sum(isinstance(answer, Granted) for answer in answers))
            refused = world.counter.figures.refused
            assert refused[DAILY, "SERVER_AWAY"] == 4 - granted_counts[-1]
    assert granted_counts == [0, 2, 4]


def test_an_allowance_begins_anew_with_the_window_and_keeps_its_holds(tmp_path: Path) -> None:
    offline = {"when_offline": lease_pb2.OFFLINE_POLICY_ALLOWANCE, "allowance": 100}
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(**offline))
        assert isinstance(reserve(world, asked("r-1"), Reach.AWAY), Granted)
        assert isinstance(reserve(world, asked("r-2"), Reach.AWAY), Denied)
        world.tell(limit(**{**offline, "window_id": "w2"}))
        assert isinstance(reserve(world, asked("r-3"), Reach.AWAY), Granted)
        own = world.the_lease(lease_id=OFFLINE_LEASE_ID)
        assert (own.held, own.free, own.window_id) == (200, 0, "w2")
        assert world.counter.figures.granted_offline == {DAILY: 200}


def test_what_was_held_of_an_allowance_before_it_began_anew_adds_nothing_to_it(
    tmp_path: Path,
) -> None:
    offline = {"when_offline": lease_pb2.OFFLINE_POLICY_ALLOWANCE, "allowance": 250}
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(**offline))
        for name in ("r-1", "r-2"):
            assert isinstance(reserve(world, asked(name), Reach.AWAY), Granted)
        world.clock.pass_seconds(60)
        world.tell(limit(**{**offline, "window_id": "w2"}))
        assert isinstance(reserve(world, asked("r-3"), Reach.AWAY), Granted)
        world.run(lambda: ending.end(ending_of("r-1", "60"), counter=world.counter))
        world.run(
            lambda: ending.end(ending_of("r-2", None, kind=EndKind.RELEASE), counter=world.counter)
        )
        # 100 of the 250 are held; what the two leave over was of the window before.
        assert world.the_lease(lease_id=OFFLINE_LEASE_ID).free == 150
        world.run(
            lambda: ending.end(ending_of("r-3", None, kind=EndKind.RELEASE), counter=world.counter)
        )
        assert world.the_lease(lease_id=OFFLINE_LEASE_ID).free == 250


def test_an_allowance_is_used_on_after_a_restart(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(when_offline=lease_pb2.OFFLINE_POLICY_ALLOWANCE, allowance=250))
        assert isinstance(reserve(world, asked("r-1"), Reach.AWAY), Granted)
        world.reopen()
        answers = [reserve(world, asked(name), Reach.AWAY) for name in ("r-2", "r-3")]
        assert [isinstance(answer, Granted) for answer in answers] == [True, False]


def test_a_changed_allowance_is_heeded_in_the_running_window(tmp_path: Path) -> None:
    def tell(world: QuotaWorld, allowance: int, window_id: str = "w2") -> None:
        policy = lease_pb2.OFFLINE_POLICY_ALLOWANCE
        world.tell(limit(when_offline=policy, allowance=allowance, window_id=window_id))

    with QuotaWorld(tmp_path) as world:
        tell(world, 100, "w1")
        assert isinstance(reserve(world, asked("r-1"), Reach.AWAY), Granted)
        tell(world, 250)  # Beside the 100 that the call of the window before holds.
        assert isinstance(reserve(world, asked("r-2"), Reach.AWAY), Granted)
        tell(world, 50)
        assert isinstance(reserve(world, asked("r-3"), Reach.AWAY), Denied)
        own = world.the_lease(lease_id=OFFLINE_LEASE_ID)
        assert (own.granted, own.held, own.carried) == (200, 200, 100)
        tell(world, 300)
        world.reopen()
        assert isinstance(reserve(world, asked("r-4"), Reach.AWAY), Granted)
        assert isinstance(reserve(world, asked("r-5"), Reach.AWAY), Granted)
        assert isinstance(reserve(world, asked("r-6"), Reach.AWAY), Denied)
        assert world.the_lease(lease_id=OFFLINE_LEASE_ID).granted == 400


def test_a_soft_limit_grants_and_says_so(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(enforcement=lease_pb2.ENFORCEMENT_SOFT))
        answer = reserve(world, asked())
        assert isinstance(answer, Granted)
        assert [item.denial.limit_key for item in answer.exceeded] == ["daily"]
        assert world.counter.figures.exceeded == {DAILY: 1}


def test_all_limits_must_pass_and_the_answer_names_the_one_that_refused(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit("a"), limit("b"))
        world.lease(100, "a")
        world.lease(99, "b")
        denied = reserve(world, asked())
        assert isinstance(denied, Denied)
        assert denied.passed.denial.limit_key == "b"
        assert (world.the_lease("a").held, world.the_lease("b").held) == (0, 0)


def test_an_extension_adds_once_and_renews(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(150)
        reserve(world, asked())
        world.clock.pass_seconds(60)
        assert granted(extend(world, "50", request_id="x")) == {"output": Decimal(150)}
        assert granted(extend(world, "50", request_id="x")) == {"output": Decimal(150)}
        [found] = world.book.all_reservations()
        assert found.expires_at_us == world.clock.now_us() + 120_000_000
        assert world.the_lease().held == 150
        assert isinstance(extend(world, "1"), Denied)
        with pytest.raises(AlreadyExistsError):
            extend(world, "40", request_id="x")


def test_a_renewal_adds_nothing_and_keeps_what_was_used(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        reserve(world, asked())
        extend(world, None, used_so_far={"output": "7"}, ttl_us=10_000_000)
        [found] = world.book.all_reservations()
        assert (found.used_so_far, found.ttl_us) == ({"output": "7"}, 10_000_000)
        assert world.the_lease().held == 100


def test_an_unknown_or_ended_reservation_is_not_extended(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        with pytest.raises(NotFoundError):
            extend(world, "1")
        reserve(world, asked())
        [found] = world.book.all_reservations()
        world.run(lambda: world.book.put_reservation(expired(found)))
        with pytest.raises(InvalidStateError):
            extend(world, "1")


def test_a_call_that_runs_needs_no_second_slot(tmp_path: Path) -> None:
    slots = limit("slots", kind=lease_pb2.LIMIT_KIND_CONCURRENCY, quantity="", max=1)
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(), slots)
        world.lease(500)
        world.lease(1, "slots")
        reserve(world, asked())
        assert granted(extend(world, "50")) == {"output": Decimal(150)}
        denied = reserve(world, asked("r-2"))
        assert isinstance(denied, Denied)
        assert denied.passed.denial.limit_key == "slots"


def test_a_call_that_runs_is_counted_once_however_often_it_is_extended(tmp_path: Path) -> None:
    calls = limit("calls", is_count=True, max=2)
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(), calls)
        world.lease(500)
        world.lease(2, "calls")
        reserve(world, asked())
        for number in range(3):
            assert granted(extend(world, "50")) == {"output": Decimal(150 + 50 * number)}
        assert (world.the_lease().held, world.the_lease("calls").held) == (250, 1)


def test_a_check_holds_nothing(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        request = asked().request
        assert reserving.check(request, counter=world.counter, reach=Reach.ANSWERED) is None
        world.tell(limit())
        world.lease(100)
        decision = reserving.check(request, counter=world.counter, reach=Reach.ANSWERED)
        assert decision is not None
        assert decision.verdict is Verdict.GRANTED
        assert world.the_lease().held == 0


def test_demand_counts_once_however_often_the_server_is_asked(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(30)
        reserve(world, asked(), Reach.ASKABLE)
        once = world.counter.demands.of("acme", "daily")
        reserve(world, replace(asked(), attempt=1), Reach.ASKABLE)
        assert world.counter.demands.of("acme", "daily") == once
        assert once.largest_call == 100
