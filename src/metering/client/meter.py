"""Meter: records usage and holds quota, from threads."""

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from metering.client.event import Quantity
from metering.client.quota import OnAgentUnavailable
from metering.client.recorder import Recorder
from metering.client.reservation import Reservation
from metering.client.reservation_state import ReservationTerms


class Meter(Recorder):
    """Records usage in the background; safe to share between threads and to make before a fork.

    Example:
        >>> meter = Meter()
        >>> meter.record(customer="acme", quantities={"input_tokens": 1200})
        >>> meter.close()

    Args:
        address: Where the agent listens, `HOST:PORT` or `unix:PATH`. Unset: METER_AGENT_ADDRESS,
            else the default socket where it exists, else 127.0.0.1:4270.
        options: Bounds and times; the defaults suit an inference service.
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
    ) -> Reservation:
        """Holds quota for one call; use it in a `with` block.

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
        return Reservation(terms, engine=self._quota)

    def flush(self, *, timeout: float = 5.0) -> bool:
        """Waits until the agent has answered for everything recorded so far.

        Args:
            timeout: Seconds to wait at most, >= 0.

        Returns:
            True once all that was recorded or settled before the call is durable in the agent (or
            was refused, which `stats()` counts); False where the time ran out: sending goes on.
        """
        end = time.monotonic() + timeout
        is_settled = self._engine.flush(timeout_seconds=timeout)
        left = max(end - time.monotonic(), 0.0)
        return self._quota.flush(timeout_seconds=left) and is_settled

    def close(self, *, timeout: float | None = None) -> bool:
        """Flushes and ends the meter; what the agent did not take in time is dropped, loudly.

        Args:
            timeout: Seconds to wait at most, >= 0. Unset: as in the options.

        Returns:
            As `flush`.
        """
        bound = self._engine.options.close_timeout_seconds if timeout is None else timeout
        is_settled = self.flush(timeout=bound)
        self._engine.stop()
        self._quota.stop()
        return is_settled

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
