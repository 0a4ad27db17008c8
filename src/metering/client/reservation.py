"""`with meter.reserve(...)`: quota held for one call, in threads."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Self, cast

from metering.api.v1 import agent_pb2
from metering.client.event import Quantity
from metering.client.quota import QuotaDenied
from metering.client.quota_engine import EndRequest, QuotaEngine
from metering.client.quota_transport import AgentAwayError
from metering.client.reservation_state import GrantAnswer, ReservationState, ReservationTerms
from metering.errors import MeteringError, ValidationError

logger = logging.getLogger("metering.client")


class ReservationView:
    """What a reservation shows, alike for threads and for asyncio."""

    def __init__(self, terms: ReservationTerms, *, engine: QuotaEngine) -> None:
        self._engine = engine
        self._state = ReservationState(terms, address=engine.address)

    @property
    def reservation_id(self) -> str:
        """Its id; the same on every retry."""
        return self._state.reservation_id

    @property
    def granted(self) -> Mapping[str, Decimal]:
        """What the call may use in all, by quantity name: pass output tokens on as max_tokens."""
        return MappingProxyType(self._state.granted)

    @property
    def is_held(self) -> bool:
        """Whether an agent holds it; False where the call goes on without one."""
        return self._state.is_held

    @property
    def renewal_seconds(self) -> float:
        """Seconds between two renewals, which happen in the background. > 0."""
        return self._state.renewal_seconds

    def renewal(self) -> agent_pb2.ExtendReservationRequest | None:
        """Returns the request that renews it; None where it has ended."""
        return self._state.renewal()

    def use(self, quantities: Mapping[str, Quantity]) -> None:
        """Notes what the call has used so far, in all. Sends nothing and returns at once.

        It is settled on the way out of the block; where the call fails or is cancelled, it is what
        was incurred all the same. Input is used once the engine was called.

        Args:
            quantities: By name; a name that is not noted again keeps its value.

        Raises:
            ValidationError: A number is negative or not exact.
        """
        self._state.use(quantities)

    def _begun(self) -> None:
        if self._state.is_held:
            self._engine.renew(self)

    def _go_on_without(self, error: AgentAwayError) -> None:
        """Goes on without an agent, where the caller allows that.

        Raises:
            QuotaDenied: AGENT_UNAVAILABLE.
        """
        try:
            self._state.not_answered(error, quantities=self._state.terms.quantities)
        except QuotaDenied:
            # The request may have arrived: what nobody will use must not stay held.
            self._engine.end_later(self._state.release())
            raise

    def _end_of_block(self, exception: BaseException | None) -> EndRequest | None:
        """Returns what ends it on the way out of its block; None where it has ended."""
        end = self._state.leave(exception)
        if exception is None and isinstance(end, agent_pb2.ReleaseReservationRequest):
            logger.error(
                "reservation %s of customer %s was left without settle: it is given back and "
                "nothing is counted; call r.settle({...}), or r.use({...}) as usage comes",
                self.reservation_id,
                end.customer_id,
            )
        return end

    @property
    def _timeout_seconds(self) -> float:
        return self._engine.options.quota_timeout_seconds


class Reservation(ReservationView):
    """Quota held for one call; made by `Meter.reserve`, held inside a `with` block.

    Example:
        >>> with meter.reserve(customer="acme", quantities={"output_tokens": 4096}) as r:
        ...     reply = call_model(max_tokens=int(r.granted["output_tokens"]))
        ...     r.settle({"output_tokens": reply.tokens})
    """

    def extend(
        self,
        quantities: Mapping[str, Quantity] | None = None,
        *,
        minimum: Mapping[str, Quantity] | None = None,
    ) -> Mapping[str, Decimal]:
        """Adds to what is held, and renews it.

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
            answer = self._engine.call(request, timeout_seconds=self._timeout_seconds)
        except AgentAwayError as error:
            self._state.not_answered(error, quantities=asked)
        else:
            self._state.answered(cast("GrantAnswer", answer))
        return self.granted

    def settle(
        self,
        quantities: Mapping[str, Quantity],
        *,
        dimensions: Mapping[str, str] | None = None,
        event_time: datetime | None = None,
    ) -> str:
        """Ends it with what was used: once this returns, that is durable and counted once.

        Where no agent answers, or its buffer is full, the meter goes on trying in the background,
        see `stats()`.

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
        self._send_end(end)
        return self._state.event_id

    def release(self, incurred: Mapping[str, Quantity] | None = None) -> None:
        """Gives it back where the call was not made, or in part.

        Args:
            incurred: What was used all the same. None: what was noted by `use`.
        """
        self._send_end(self._state.release(incurred))

    def __enter__(self) -> Self:
        request = self._state.request()
        try:
            answer = self._engine.call(request, timeout_seconds=self._timeout_seconds)
        except AgentAwayError as error:
            self._go_on_without(error)
        except MeteringError:
            raise
        except BaseException:
            # Ctrl-C in mid-call: what nobody will use must not stay held.
            self._engine.end_later(self._state.release())
            raise
        else:
            self._state.answered(cast("GrantAnswer", answer))
        self._begun()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = self._end_of_block(exception)
        if end is None:
            return
        if exception is None:
            self._send_end(end)
        else:
            # What went wrong in the block is what the caller must see, at once.
            self._engine.end_later(end)

    def _send_end(self, end: EndRequest) -> None:
        try:
            self._engine.call(end, timeout_seconds=self._timeout_seconds)
        except MeteringError as error:
            if error.kind.is_retryable:
                # No agent answered, or it cannot now: sent again under the same id, counted once.
                self._engine.end_later(end)
                return
            if isinstance(error, ValidationError):
                self._state.reopen()
            raise
        except BaseException:
            # Ctrl-C, or the end of the process, in mid-call: what was used must not be lost.
            self._engine.end_later(end)
            raise
