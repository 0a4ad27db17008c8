"""`async with meter.reserve(...)`: as under threads, and cancellation keeps what was incurred."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Never

import grpc
import pytest

from metering import AsyncMeter, MeterOptions, OnAgentUnavailable, QuotaDenied, ValidationError
from metering.api.v1.agent_pb2 import ReleaseReservationRequest
from metering.client.async_reservation import AsyncReservation
from metering.errors import InvalidStateError
from metering.testing import FakeAgent

FAST = MeterOptions(
    backoff_initial_seconds=0.01, backoff_max_seconds=0.05, quota_timeout_seconds=30
)
"""An agent that is away refuses at once; one that is there may be slow, as the machine is."""


def run(use: Callable[[FakeAgent, AsyncMeter], Awaitable[None]]) -> None:
    async def main(agent: FakeAgent) -> None:
        async with AsyncMeter(agent.address, options=FAST) as meter:
            await use(agent, meter)

    with FakeAgent() as agent:
        asyncio.run(main(agent))


def test_a_call_is_held_extended_and_settled() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        async with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
            assert await r.extend({"output_tokens": 5}) == {"output_tokens": Decimal(15)}
            event_id = await r.settle({"output_tokens": 12})
            with pytest.raises(ValidationError):
                await r.settle({})
        assert [event.event_id for event in agent.events] == [event_id]

    run(use)


def test_a_refused_call_is_not_made() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        agent.limit("acme", "output_tokens", 9, key="daily")
        with pytest.raises(QuotaDenied) as caught:
            async with meter.reserve(customer="acme", quantities={"output_tokens": 10}):
                pytest.fail("the block was entered")
        assert caught.value.limit_key == "daily"

    run(use)


def test_what_was_noted_is_settled_on_the_way_out() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        async with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
            r.use({"output_tokens": 5})
        assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "5"}]

    run(use)


def test_a_cancelled_call_keeps_its_input_and_gives_the_rest_back() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        agent.limit("acme", "output_tokens", 100)
        inside = asyncio.Event()

        async def call() -> None:
            async with meter.reserve(
                customer="acme", quantities={"input_tokens": 7, "output_tokens": 100}
            ) as r:
                r.use({"input_tokens": 7})
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(call())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await meter.flush()
        assert [dict(event.quantities) for event in agent.events] == [{"input_tokens": "7"}]
        async with meter.reserve(customer="acme", quantities={"output_tokens": 100}) as r:
            await r.release()

    run(use)


def test_a_reserve_that_is_cancelled_holds_nothing() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        agent.delay(0.1)
        reservation = meter.reserve(customer="acme", quantities={"output_tokens": 10})
        task = asyncio.create_task(reservation.__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        agent.delay(0)
        assert await meter.flush()
        assert all(item.end is not None for item in agent.reservations.values())

    run(use)


def test_a_reserve_that_fails_in_an_unforeseen_way_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    granted = AsyncReservation._call

    async def granted_and_lost(self: AsyncReservation, request: Any) -> Never:
        await granted(self, request)
        raise RuntimeError

    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        monkeypatch.setattr(AsyncReservation, "_call", granted_and_lost)
        with pytest.raises(RuntimeError):
            await meter.reserve(customer="acme", quantities={"output_tokens": 10}).__aenter__()
        monkeypatch.undo()
        assert await meter.flush()
        [reservation] = agent.reservations.values()
        assert isinstance(reservation.end, ReleaseReservationRequest)

    run(use)


def test_a_settlement_that_is_cancelled_is_sent_all_the_same() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        async with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
            agent.delay(0.1)
            task = asyncio.create_task(r.settle({"output_tokens": 3}))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        agent.delay(0)
        assert await meter.flush()
        assert [dict(event.quantities) for event in agent.events] == [{"output_tokens": "3"}]

    run(use)


def test_a_settlement_waits_where_the_buffer_of_the_agent_is_full() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        async with meter.reserve(customer="acme", quantities={"output_tokens": 10}) as r:
            agent.fail_next(3, code=grpc.StatusCode.RESOURCE_EXHAUSTED)
            event_id = await r.settle({"output_tokens": 3})
        assert await meter.flush()
        assert [event.event_id for event in agent.events] == [event_id]

    run(use)


def test_without_an_agent_the_policy_decides() -> None:
    async def use() -> None:
        meter = AsyncMeter("127.0.0.1:1", options=FAST)
        with pytest.raises(QuotaDenied) as caught:
            async with meter.reserve(customer="acme", quantities={"output_tokens": 10}):
                pytest.fail("the block was entered")
        assert caught.value.reason == "AGENT_UNAVAILABLE"
        async with meter.reserve(
            customer="acme",
            quantities={"output_tokens": 10},
            on_agent_unavailable=OnAgentUnavailable.ALLOW,
        ) as r:
            assert not r.is_held
            await r.extend({"output_tokens": 1})
            await r.settle({"output_tokens": 11})
        assert not await meter.close(timeout=0)
        assert meter.stats().settlements_lost == 2

    asyncio.run(use())


def test_a_call_whose_release_waits_for_the_agent_takes_a_new_id() -> None:
    async def use() -> None:
        meter = AsyncMeter("127.0.0.1:1", options=FAST)
        for error in (QuotaDenied, InvalidStateError):
            with pytest.raises(error):
                async with meter.reserve(
                    customer="acme", quantities={"output_tokens": 10}, reservation_id="call-7"
                ):
                    pytest.fail("the block was entered")
        assert not await meter.close(timeout=0)

    asyncio.run(use())


def test_a_failed_call_is_released_with_what_was_noted() -> None:
    async def use(agent: FakeAgent, meter: AsyncMeter) -> None:
        with pytest.raises(RuntimeError, match="the engine failed"):
            async with meter.reserve(customer="acme", quantities={"output_tokens": 10}):
                raise RuntimeError("the engine failed")
        assert await meter.flush()
        [reservation] = agent.reservations.values()
        assert isinstance(reservation.end, ReleaseReservationRequest)

    run(use)
