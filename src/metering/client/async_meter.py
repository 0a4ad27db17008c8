"""AsyncMeter: records usage and holds quota from asyncio, with the same engines as Meter."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from metering.client.async_reservation import AsyncReservation
from metering.client.quota_engine import QuotaEngine
from metering.client.reservation_state import ReservationTerms
from metering.client.reserver import Reserver


class AsyncMeter(Reserver[AsyncReservation]):
    """Records usage in the background; `flush` and `close` are awaited.

    The sender is a thread of its own, as in `Meter`: a busy event loop does not hold usage back,
    and `record` may be called from any thread or task.

    Args:
        address: As in `Meter`.
        options: As in `Meter`.
    """

    __slots__ = ()

    @staticmethod
    def _reservation(terms: ReservationTerms, *, engine: QuotaEngine) -> AsyncReservation:
        return AsyncReservation(terms, engine=engine)

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
