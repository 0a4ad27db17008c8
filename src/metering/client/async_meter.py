"""AsyncMeter: records usage from asyncio, with the same engine as Meter."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from metering.client.recorder import Recorder


class AsyncMeter(Recorder):
    """Records usage in the background; `flush` and `close` are awaited.

    The sender is a thread of its own, as in `Meter`: a busy event loop does not hold usage back,
    and `record` may be called from any thread or task.

    Args:
        address: As in `Meter`.
        options: As in `Meter`.
    """

    __slots__ = ()

    async def flush(self, *, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - as in Meter
        """Waits, without blocking the loop, as `Meter.flush` does.

        Args:
            timeout: Seconds to wait at most, >= 0.

        Returns:
            True once all that was recorded before the call is durable in the agent (or was
            refused, which `stats()` counts); False where the time ran out: sending goes on.
        """
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
