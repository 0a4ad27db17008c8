"""`with meter.reserve(...)` against an agent that answers, refuses, or is away."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Never

import grpc
import pytest

from metering import Meter, MeterOptions, OnAgentUnavailable, QuotaDenied, ValidationError
from metering.api.v1.agent_pb2 import ReleaseReservationRequest, SettleReservationRequest
from metering.client.quota_engine import QuotaEngine
from metering.client.reservation import Reservation
from metering.errors import AlreadyExistsError, InvalidStateError
from metering.testing import FakeAgent

FAST = MeterOptions(
    backoff_initial_seconds=0.01, backoff_max_seconds=0.05, quota_timeout_seconds=30
)
"""An agent that is away refuses at once; one that is there may be slow, as the machine is."""


def interrupted(*_: object, **__: object) -> Never:
    raise KeyboardInterrupt


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    with FakeAgent() as running:
        yield running


@pytest.fixture
def meter(agent: FakeAgent) -> Iterator[Meter]:
    with Meter(agent.address, options=FAST) as made:
        yield made


def test_a_call_is_held_made_and_settled(agent: FakeAgent, meter: Meter) -> None:
    with meter.reserve(
        customer="acme", quantities={"output_tokens": 4096}, dimensions={"model": "large"}
    ) as r:
        assert r.granted == {"output_tokens": Decimal(4096)}
        assert r.is_held
        event_id = r.settle({"input_tokens": 20, "output_tokens": 350})
    [event] = agent.events
    assert event.event_id == event_id
    assert dict(event.quantities) == {"input_tokens": "20", "output_tokens": "350"}
    assert dict(event.dimensions) == {"model": "large"}


def test_a_refused_call_is_not_made(agent: FakeAgent, meter: Meter) -> None:
    agent.limit("acme", "output_tokens", 100, key="tokens-a-day")
    with (
        pytest.raises(QuotaDenied) as caught,
        meter.reserve(customer="acme", quantities={"output_tokens": 101}),
    ):
        pytest.fail("the block was entered")
    assert caught.value.limit_key == "tokens-a-day"
    assert caught.value.remaining == {"output_tokens": Decimal(100)}


def test_less_is_granted_where_the_caller_takes_less(agent: FakeAgent, meter: Meter) -> None:
    agent.limit("acme", "output_tokens", 100)
    with meter.reserve(
        customer="acme", quantities={"output_tokens": 4096}, minimum={"output_tokens": 16}
    ) as r:
        assert r.granted == {"output_tokens": Decimal(100)}
        r.settle({"output_tokens": 99})


def test_what_was_noted_is_settled_on_the_way_out(agent: FakeAgent, meter: Meter) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        r.use({"output_tokens": 3})
        r.use({"output_tokens": 5})
    assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "5"}]


def test_a_call_that_failed_keeps_what_it_incurred(agent: FakeAgent, meter: Meter) -> None:
    def fail() -> None:
        with meter.reserve(
            customer="acme", quantities={"input_tokens": 7, "output_tokens": 9}
        ) as r:
            r.use({"input_tokens": 7})
            raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError, match="the engine failed"):
        fail()
    assert meter.flush()
    [reservation] = agent.reservations.values()
    assert isinstance(reservation.end, ReleaseReservationRequest)
    assert [dict(event.quantities) for event in agent.events] == [{"input_tokens": "7"}]


def test_a_block_without_settle_is_given_back_loudly(
    agent: FakeAgent, meter: Meter, caplog: pytest.LogCaptureFixture
) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 9}) as r:
        pass
    assert agent.events == []
    assert isinstance(agent.reservations[r.reservation_id].end, ReleaseReservationRequest)
    assert "left without settle" in caplog.text


def test_a_release_gives_back_what_was_not_used(agent: FakeAgent, meter: Meter) -> None:
    agent.limit("acme", "output_tokens", 10)
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        r.release({"output_tokens": 4})
    with meter.reserve(customer="acme", quantities={"output_tokens": 6}) as r:
        r.settle({"output_tokens": 6})
    assert [dict(event.quantities)["output_tokens"] for event in agent.events] == ["4", "6"]


def test_a_stream_reserves_in_steps_until_it_is_refused(agent: FakeAgent, meter: Meter) -> None:
    agent.limit("acme", "output_tokens", 25, key="daily")
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        assert r.extend({"output_tokens": 10}) == {"output_tokens": Decimal(20)}
        with pytest.raises(QuotaDenied) as caught:
            r.extend({"output_tokens": 10})
        assert caught.value.remaining == {"output_tokens": Decimal(5)}
        assert r.granted == {"output_tokens": Decimal(20)}
        r.settle({"output_tokens": 20})
        with pytest.raises(InvalidStateError):
            r.extend()


def test_a_step_is_added_in_part_down_to_its_minimum(agent: FakeAgent, meter: Meter) -> None:
    agent.limit("acme", "output_tokens", 25)
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        more = {"output_tokens": 20}
        with pytest.raises(QuotaDenied):
            r.extend(more, minimum={"output_tokens": 16})
        assert r.extend(more, minimum={"output_tokens": 1}) == {"output_tokens": Decimal(25)}
        r.settle({"output_tokens": 25})


def test_settling_again_is_answered_the_same_and_other_numbers_are_refused(
    agent: FakeAgent, meter: Meter
) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        assert r.settle({"output_tokens": 4}) == r.settle({"output_tokens": 4})
        with pytest.raises(AlreadyExistsError) as caught:
            r.settle({"output_tokens": 5})
    assert caught.value.reason == "RESERVATION_ENDED"
    assert len(agent.events) == 1


def test_a_settlement_of_the_wrong_kind_can_be_put_right(agent: FakeAgent, meter: Meter) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        with pytest.raises(ValidationError):
            r.settle({"output_tokens": -1})
        r.settle({"output_tokens": 1})
    assert len(agent.events) == 1


def test_a_hold_is_renewed_in_the_background(agent: FakeAgent, meter: Meter) -> None:
    with meter.reserve(
        customer="acme", quantities={"output_tokens": 10}, ttl=timedelta(seconds=1)
    ) as r:
        r.use({"output_tokens": 2})
        name = r.reservation_id
        assert agent.wait_for_reservation(lambda held: held[name].renewal_count >= 2)
        assert agent.reservations[name].used_so_far == {"output_tokens": "2"}


def test_without_an_agent_a_call_is_refused() -> None:
    with (
        Meter("127.0.0.1:1", options=FAST) as meter,
        pytest.raises(QuotaDenied) as caught,
        meter.reserve(customer="acme", quantities={"output_tokens": 10}),
    ):
        pytest.fail("the block was entered")
    assert caught.value.reason == "AGENT_UNAVAILABLE"


def test_without_an_agent_a_call_goes_on_where_the_caller_allows_it() -> None:
    agent = FakeAgent().start()
    address = agent.address
    agent.stop()
    meter = Meter(address, options=FAST)
    with meter.reserve(
        customer="acme",
        quantities={"output_tokens": 10},
        on_agent_unavailable=OnAgentUnavailable.ALLOW,
    ) as r:
        assert (r.granted, r.is_held) == ({"output_tokens": Decimal(10)}, False)
        assert r.extend({"output_tokens": 5}) == {"output_tokens": Decimal(15)}
        r.settle({"output_tokens": 12})
    assert meter.stats().settlements_waiting == 1
    agent.start()
    try:
        assert meter.flush(timeout=10)
        assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "12"}]
        assert meter.stats().settlements_waiting == 0
    finally:
        meter.close()
        agent.stop()


def test_a_lost_answer_settles_once(agent: FakeAgent, meter: Meter) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        agent.lose_answers(1)
        r.settle({"output_tokens": 3})
    assert meter.flush()
    assert len(agent.events) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED])
def test_a_settlement_waits_where_the_agent_cannot_take_it_now(
    code: grpc.StatusCode, agent: FakeAgent, meter: Meter
) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        agent.fail_next(3, code=code)
        event_id = r.settle({"output_tokens": 3})
    assert meter.flush()
    assert [event.event_id for event in agent.events] == [event_id]
    assert meter.stats().settlements_lost == 0


def test_a_settlement_that_is_interrupted_is_sent_all_the_same(
    agent: FakeAgent, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
        monkeypatch.setattr(QuotaEngine, "call", interrupted)
        with pytest.raises(KeyboardInterrupt):
            r.settle({"output_tokens": 3})
        monkeypatch.undo()
    assert meter.flush()
    assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "3"}]


def test_a_grant_whose_answer_was_lost_twice_is_given_back(agent: FakeAgent, meter: Meter) -> None:
    agent.lose_answers(2)
    with (
        pytest.raises(QuotaDenied),
        meter.reserve(customer="acme", quantities={"output_tokens": 10}),
    ):
        pytest.fail("the block was entered")
    assert meter.flush()
    [reservation] = agent.reservations.values()
    assert isinstance(reservation.end, ReleaseReservationRequest)


def test_a_call_whose_release_waits_for_the_agent_takes_a_new_id() -> None:
    agent = FakeAgent().start()
    address = agent.address
    agent.stop()
    with Meter(address, options=FAST) as meter:

        def reserve(name: str) -> Reservation:
            return meter.reserve(
                customer="acme", quantities={"output_tokens": 10}, reservation_id=name
            )

        for error in (QuotaDenied, InvalidStateError):
            with pytest.raises(error), reserve("call-7"):
                pytest.fail("the block was entered")
        agent.start()
        try:
            # Once the release arrived the channel has connected, and does not fail fast any more.
            assert meter.flush(timeout=10)
            with reserve("call-8") as r:
                r.settle({"output_tokens": 3})
            assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "3"}]
        finally:
            agent.stop()


def test_a_meter_that_ends_says_what_it_could_not_settle(caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter("127.0.0.1:1", options=FAST)
    with meter.reserve(
        customer="acme",
        quantities={"output_tokens": 10},
        on_agent_unavailable=OnAgentUnavailable.ALLOW,
    ) as r:
        r.settle({"output_tokens": 3})
    assert not meter.close(timeout=0)
    assert meter.stats().settlements_lost == 1
    assert "could not be settled and is lost here" in caplog.text


def test_a_settlement_names_customer_and_dimensions_for_another_agent(
    agent: FakeAgent, meter: Meter
) -> None:
    with meter.reserve(
        customer="acme", quantities={"output_tokens": 10}, dimensions={"model": "m"}
    ) as r:
        r.settle({"output_tokens": 3})
    end = agent.reservations[r.reservation_id].end
    assert isinstance(end, SettleReservationRequest)
    assert (end.customer_id, dict(end.dimensions)) == ("acme", {"model": "m"})
