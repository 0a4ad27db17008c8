"""`async with meter.reserve(...)`: the same as `Reservation`, for asyncio."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self, cast

from metering.client.event import Quantity
from metering.client.quota_engine import AWAY_RETRY_SECONDS, EndRequest
from metering.client.quota_transport import AgentAwayError, QuotaRequest, QuotaResponse
from metering.client.reservation import ReservationView
from metering.client.reservation_state import GrantAnswer
from metering.errors import MeteringError, ValidationError


class AsyncReservation(ReservationView):
    """Quota held for one call; made by `AsyncMeter.reserve`, held inside `async with`.

    A task that is cancelled gives back what it did not use; what it noted by `use` is counted. That
    is sent in the background, so that the cancellation is not held up.

    Example:
        >>> async with meter.reserve(customer="acme", quantities={"output_tokens": 4096}) as r:
        ...     reply = await call_model(max_tokens=int(r.granted["output_tokens"]))
        ...     await r.settle({"output_tokens": reply.tokens})
    """

    async def extend(
        self,
        quantities: Mapping[str, Quantity] | None = None,
        *,
        minimum: Mapping[str, Quantity] | None = None,
    ) -> Mapping[str, Decimal]:
        """Adds to what is held, and renews it, as `Reservation.extend` does.

        Args:
            quantities: What to add, by name; None renews only.
            minimum: Adding less than this is a denial; quantities that it names may be added in
                part. None: all or nothing.

        Returns:
            What the call may use in all, by quantity name.

        Raises:
            QuotaDenied: A limit refused; what was granted before stands.
            InvalidStateError: It has ended.
            ValidationError: An argument is of the wrong kind, or a number is negative.
        """
        asked = quantities or {}
        request = self._state.extension(asked, minimum=minimum or {})
        try:
            answer = await self._call(request)
        except AgentAwayError as error:
            self._state.not_answered(error, quantities=asked)
        else:
            self._state.answered(cast("GrantAnswer", answer))
        return self.granted

    async def settle(
        self,
        quantities: Mapping[str, Quantity],
        *,
        dimensions: Mapping[str, str] | None = None,
        event_time: datetime | None = None,
    ) -> str:
        """Ends it with what was used, as `Reservation.settle` does.

        Args:
            quantities: What was used, as in `record`.
            dimensions: As in `record`. None: those of the reservation.
            event_time: When it was used, with a time zone. None: when the agent hears of it.

        Returns:
            The id of the usage event.

        Raises:
            AlreadyExistsError: It was settled before with other numbers.
            ValidationError: An argument is of the wrong kind, or the agent refuses it.
        """
        end = self._state.settlement(quantities, dimensions=dimensions, event_time=event_time)
        await self._send_end(end)
        return self._state.event_id

    async def release(self, incurred: Mapping[str, Quantity] | None = None) -> None:
        """Gives it back where the call was not made, or in part.

        Args:
            incurred: What was used all the same. None: what was noted by `use`.
        """
        await self._send_end(self._state.release(incurred))

    async def __aenter__(self) -> Self:
        request = self._state.request()
        try:
            answer = await self._call(request)
        except AgentAwayError as error:
            self._go_on_without(error)
        except MeteringError:
            raise
        except BaseException:
            # Cancelled, or Ctrl-C in mid-call: what nobody will use must not stay held.
            self._engine.end_later(self._state.release())
            raise
        else:
            self._state.answered(cast("GrantAnswer", answer))
        self._begun()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = self._end_of_block(exception)
        if end is None:
            return
        if exception is None:
            await self._send_end(end)
        else:
            self._engine.end_later(end)

    async def _send_end(self, end: EndRequest) -> None:
        try:
            await self._call(end)
        except MeteringError as error:
            if error.kind.is_retryable:
                # No agent answered, or it cannot now: sent again under the same id, counted once.
                self._engine.end_later(end)
                return
            if isinstance(error, ValidationError):
                self._state.reopen()
            raise
        except BaseException:
            # Cancelled in mid-call: what was used must not be lost.
            self._engine.end_later(end)
            raise

    async def _call(self, request: QuotaRequest) -> QuotaResponse:
        """Calls the agent without blocking the loop; one that was not reached is tried again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout_seconds
        try:
            return await self._call_once(request, timeout_seconds=self._timeout_seconds)
        except AgentAwayError:
            left = end - loop.time() - AWAY_RETRY_SECONDS
            if left <= 0 or self._engine.is_closed:
                raise
        await asyncio.sleep(AWAY_RETRY_SECONDS)
        return await self._call_once(request, timeout_seconds=left)

    async def _call_once(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def wake() -> None:
            # The loop may have ended meanwhile: then nobody is left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        call = self._engine.begin(request, timeout_seconds=timeout_seconds)
        call.when_done(wake)
        try:
            await done.wait()
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call.result()
