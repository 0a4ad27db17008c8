"""AsyncMeter: records usage and holds quota from asyncio, with the same engines as Meter."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from metering.client.async_reservation import AsyncReservation
from metering.client.event import Quantity
from metering.client.quota import OnAgentUnavailable
from metering.client.recorder import Recorder
from metering.client.reservation_state import ReservationTerms


class AsyncMeter(Recorder):
    """Records usage in the background; `flush` and `close` are awaited.

    The sender is a thread of its own, as in `Meter`: a busy event loop does not hold usage back,
    and `record` may be called from any thread or task.

    Args:
        address: As in `Meter`.
        options: As in `Meter`.
    """

    __slots__ = ()

    def reserve(
        self,
        *,
        customer: str,
        quantities: Mapping[str, Quantity],
        minimum: Mapping[str, Quantity] | None = None,
        dimensions: Mapping[str, str] | None = None,
        ttl: timedelta | None = None,
        reservation_id: str | None = None,
        on_agent_unavailable: OnAgentUnavailable = OnAgentUnavailable.DENY,
    ) -> AsyncReservation:
        """Holds quota for one call; use it in an `async with` block.

        The agent is asked when the block is entered. The hold is renewed in the background for as
        long as the block runs, and ends with it.

        Args:
            customer: Whose quota; 1..128 bytes.
            quantities: The most that the call may use, by name, as in `record`.
            minimum: Less than this is a denial; quantities that it names may be granted in part.
                Unset: all or nothing.
            dimensions: As in `record`; limits may hold for some of them only.
            ttl: How long the hold outlives the last renewal, 1 s..1 h. Unset: 2 minutes.
            reservation_id: Id of the call where it has one; the same id is one reservation. Unset:
                a new UUIDv7.
            on_agent_unavailable: What to do when no agent answers in `quota_timeout_seconds`.

        Returns:
            The reservation, to be entered once. Entering raises `QuotaDenied` where a limit
            refuses.

        Raises:
            ValidationError: An argument is of the wrong kind, or a number is negative.
        """
        terms = ReservationTerms(
            customer=customer,
            quantities=quantities,
            minimum=minimum,
            dimensions=dimensions,
            ttl=ttl,
            reservation_id=reservation_id,
            on_agent_unavailable=on_agent_unavailable,
        )
        return AsyncReservation(terms, engine=self._quota)

    async def flush(self, *, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - as in Meter
        """Waits, without blocking the loop, as `Meter.flush` does.

        Args:
            timeout: Seconds to wait at most, >= 0.

        Returns:
            True once all that was recorded or settled before the call is durable in the agent (or
            was refused, which `stats()` counts); False where the time ran out: sending goes on.
        """
        end = time.monotonic() + timeout
        is_settled = await self._flush_events(timeout=timeout)
        if not self._quota.waiting:
            return is_settled
        left = max(end - time.monotonic(), 0.0)
        return await asyncio.to_thread(self._quota.flush, timeout_seconds=left) and is_settled

    async def _flush_events(self, *, timeout: float) -> bool:  # noqa: ASYNC109 - as in Meter
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()
        is_settled = False

        def wake() -> None:
            nonlocal is_settled
            is_settled = True
            # The loop may have ended with the flush still waiting: then nobody is left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settled.set)

        self._engine.when_settled(wake)
        try:
            # Known at once where nothing waits: the loop need not turn for it.
            if not is_settled:
                await asyncio.wait_for(settled.wait(), timeout)
        except TimeoutError:
            return is_settled
        finally:
            self._engine.buffer.forget_waiter(wake)
        return True

    async def close(self, *, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as in Meter
        """Flushes and ends the meter; what the agent did not take in time is dropped, loudly.

        Args:
            timeout: Seconds to wait at most, >= 0. Unset: as in the options.

        Returns:
            As `flush`.
        """
        bound = self._engine.options.close_timeout_seconds if timeout is None else timeout
        is_settled = await self.flush(timeout=bound)
        await asyncio.to_thread(self._engine.stop)
        await asyncio.to_thread(self._quota.stop)
        return is_settled

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
