"""AsyncMeter behaves as Meter does, and never blocks the event loop."""

import asyncio

import pytest

from metering import AsyncMeter, MeterOptions, ValidationError
from metering.testing import FakeAgent

FAST = MeterOptions(backoff_initial_seconds=0.01, backoff_max_seconds=0.05)


def test_an_awaited_flush_means_that_the_agent_has_everything() -> None:
    async def use(agent: FakeAgent) -> None:
        async with AsyncMeter(agent.address, options=FAST) as meter:
            ids = [meter.record(customer="acme", quantities={"requests": 1}) for _ in range(1_500)]
            assert await meter.flush(timeout=10)
            assert [event.event_id for event in agent.events] == ids
            assert meter.stats().accepted == 1_500

    with FakeAgent() as agent:
        asyncio.run(use(agent))


def test_leaving_the_context_flushes() -> None:
    async def use(agent: FakeAgent) -> None:
        async with AsyncMeter(agent.address) as meter:
            meter.record(customer="acme", quantities={"requests": 1})

    with FakeAgent() as agent:
        asyncio.run(use(agent))
        assert len(agent.events) == 1


def test_the_loop_goes_on_while_a_flush_waits_for_an_absent_agent() -> None:
    async def use() -> int:
        meter = AsyncMeter("127.0.0.1:1", options=FAST)
        meter.record(customer="acme", quantities={"requests": 1})
        flushing = asyncio.create_task(meter.flush(timeout=0.5))
        turns = 0
        while not flushing.done():
            await asyncio.sleep(0)
            turns += 1
        assert flushing.result() is False
        assert not await meter.close(timeout=0)
        assert meter.stats().dropped == 1
        return turns

    assert asyncio.run(use()) > 1


def test_a_cancelled_flush_leaves_nothing_behind() -> None:
    async def use() -> None:
        meter = AsyncMeter("127.0.0.1:1", options=FAST)
        meter.record(customer="acme", quantities={"requests": 1})
        flushing = asyncio.create_task(meter.flush(timeout=30))
        await asyncio.sleep(0.05)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
        assert not meter._engine.buffer.is_awaited
        await meter.close(timeout=0)

    asyncio.run(use())


def test_a_busy_loop_does_not_hold_usage_back() -> None:
    async def use(agent: FakeAgent) -> None:
        async with AsyncMeter(agent.address) as meter:
            meter.record(customer="acme", quantities={"requests": 1})
            # Blocks the event loop on purpose: the sender is a thread of its own.
            assert agent.wait_for_event_count(1)

    with FakeAgent() as agent:
        asyncio.run(use(agent))


def test_a_flush_of_nothing_returns_at_once() -> None:
    async def use() -> None:
        meter = AsyncMeter("127.0.0.1:1")
        # Where it waited, the test's own time-out would pass first.
        assert await meter.flush(timeout=3_600)
        assert await meter.close()

    asyncio.run(use())


def test_what_is_settled_is_so_without_any_time() -> None:
    async def use(agent: FakeAgent) -> None:
        meter = AsyncMeter(agent.address)
        assert await meter.flush(timeout=0)
        meter.record(customer="acme", quantities={"requests": 1})
        assert await meter.flush(timeout=30)
        assert await meter.flush(timeout=0)
        assert await meter.close(timeout=0)

    with FakeAgent() as agent:
        asyncio.run(use(agent))


def test_bad_arguments_are_raised_as_in_meter() -> None:
    meter = AsyncMeter("127.0.0.1:1")
    with pytest.raises(ValidationError, match="is a float, which is not exact"):
        meter.record(customer="acme", quantities={"tokens": 0.5})  # type: ignore[dict-item]
