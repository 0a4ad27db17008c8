"""The desk asks before it refuses, a bounded number of times, and waits for the disk."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from meter_agent.core.quota.decide import DenialReason, Reach, Shortage, Verdict
from meter_agent.core.quota.reservation import content_of
from meter_agent.quota.answers import Denied, Granted
from meter_agent.quota.desk import ASK_COUNT_MAX, Offline, QuotaDesk
from meter_agent.quota.reserving import Extend
from metering.api.v1 import lease_pb2
from metering.errors import NotFoundError
from tests.meter_agent.quota.world import QuotaWorld, asked, ending, limit
from tests.meter_agent.support import NOW_US, event


class Server:
    """Answers asks in turn; the last answer stays. Asked for terms it tells one limit."""

    def __init__(
        self,
        world: QuotaWorld,
        *reaches: Reach,
        grants: Sequence[int] = (),
        told: lease_pb2.LimitTerms | None = None,
    ) -> None:
        self._world = world
        self._told = told or limit(remaining=1_000)
        self._reaches = list(reaches)
        self._grants = list(grants)
        self.asked: list[tuple[str, tuple[Shortage, ...]]] = []

    def reach(self) -> Reach:
        return Reach.ASKABLE

    def ask(
        self, customer_id: str, shortages: Sequence[Shortage], *, timeout_seconds: float
    ) -> Reach:
        self.asked.append((customer_id, tuple(shortages)))
        if not shortages:
            self._world.tell(self._told, customer_id=customer_id)
        if self._grants:
            held = sum(item.held for item in self._world.book.all_leases())
            self._world.lease(self._grants.pop(0), held=held)
        return self._reaches.pop(0) if len(self._reaches) > 1 else self._reaches[0]


def desk_of(world: QuotaWorld, server: Server | Offline) -> QuotaDesk:
    return QuotaDesk(world.counter, writer=world.store.writer, asking=server)


def test_a_cold_customer_is_asked_for_then_granted(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        server = Server(world, Reach.ASKABLE, grants=[0, 100])
        answer = desk_of(world, server).reserve(asked(), timeout_seconds=10)
        assert isinstance(answer, Granted)
        assert [len(shortages) for _, shortages in server.asked] == [0, 1]


def test_a_refusal_is_final_once_the_server_has_nothing(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        server = Server(world, Reach.ANSWERED)
        answer = desk_of(world, server).reserve(asked(), timeout_seconds=10)
        assert isinstance(answer, Denied)
        assert answer.passed.denial.reason is DenialReason.LIMIT_REACHED
        assert len(server.asked) == 1


def test_others_may_take_what_was_granted_a_bounded_number_of_times(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        server = Server(world, Reach.ASKABLE)
        answer = desk_of(world, server).reserve(asked(), timeout_seconds=10)
        assert isinstance(answer, Denied)
        assert len(server.asked) == ASK_COUNT_MAX


def test_without_an_answer_the_offline_policy_holds(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(when_offline=lease_pb2.OFFLINE_POLICY_OPEN))
        server = Server(world, Reach.AWAY)
        assert isinstance(desk_of(world, server).reserve(asked(), timeout_seconds=10), Granted)
        denied = desk_of(world, Offline()).reserve(
            asked("r-2", customer_id="new"), timeout_seconds=10
        )
        assert isinstance(denied, Denied)
        assert denied.passed.denial.reason is DenialReason.SERVER_AWAY
        assert Offline().ask("acme", (), timeout_seconds=1) is Reach.AWAY


def test_an_extension_asks_as_well(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        server = Server(world, Reach.ASKABLE, grants=[150])
        desk = desk_of(world, server)
        desk.reserve(asked(), timeout_seconds=10)
        more = Extend(
            reservation_id="r-1",
            request_id="",
            quantities={"output": Decimal(50)},
            content=content_of(quantities={"output": Decimal(50)}),
        )
        answer = desk.extend(more, timeout_seconds=10)
        assert [name for name, _ in server.asked] == ["acme"]
        assert isinstance(answer, Granted)


def test_an_end_is_durable_when_it_returns(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        desk = desk_of(world, Offline())
        desk.reserve(asked(), timeout_seconds=10)
        ended = desk.end(ending(), receive_time_us=NOW_US, caller="svc", timeout_seconds=10)
        assert [item.event_id for item in world.events()] == [ended.event_id]
        with pytest.raises(NotFoundError):
            desk.end(ending("r-9"), receive_time_us=NOW_US, caller="svc", timeout_seconds=10)


def test_a_check_takes_the_servers_word_and_holds_nothing(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        server = Server(world, Reach.ASKABLE)
        desk = desk_of(world, server)
        assert desk.check(asked().request, timeout_seconds=10).verdict is Verdict.GRANTED
        much = asked(quantities={"output": "1001"}).request
        assert desk.check(much, timeout_seconds=10).verdict is Verdict.DENIED
        assert [shortages for _, shortages in server.asked] == [(), ()]
        world.lease(1_001)
        assert desk.check(much, timeout_seconds=10).verdict is Verdict.GRANTED
        assert len(server.asked) == 2
        unknown = desk_of(world, Offline()).check(
            asked(customer_id="new").request, timeout_seconds=10
        )
        assert unknown.denial is not None
        assert unknown.denial.reason is DenialReason.SERVER_AWAY


def test_a_check_of_a_rate_looks_at_the_bucket_of_its_share(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        rate = limit("rpm", kind=lease_pb2.LIMIT_KIND_RATE, remaining=1_000)
        desk = desk_of(world, Server(world, Reach.ASKABLE, told=rate))
        request = asked().request
        # Without a share the server gives one to the first call.
        assert desk.check(request, timeout_seconds=10).verdict is Verdict.GRANTED
        now_us = world.clock.now_us()
        times = {"filled_at_us": now_us, "usable_until_us": now_us + 120_000_000}
        world.lease(0, "rpm", rate_per_minute=60, burst=100, **times)
        assert desk.check(request, timeout_seconds=10).verdict is Verdict.DENIED
        world.clock.pass_seconds(101)
        assert desk.check(request, timeout_seconds=10).verdict is Verdict.GRANTED


def test_only_usage_of_limited_customers_needs_the_desk(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        desk = desk_of(world, Offline())
        assert not desk.is_limited([event("a")])
        world.tell(limit())
        world.tell(customer_id="free")
        assert desk.is_limited([event("a"), event("b", customer_id="free")])
        assert not desk.is_limited([event("b", customer_id="free")])
