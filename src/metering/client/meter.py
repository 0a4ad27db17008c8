"""Meter: records usage and holds quota, from threads."""

import time
from types import TracebackType
from typing import Self

from metering.client.quota_engine import QuotaEngine
from metering.client.reservation import Reservation
from metering.client.reservation_state import ReservationTerms
from metering.client.reserver import Reserver


class Meter(Reserver[Reservation]):
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

    @staticmethod
    def _reservation(terms: ReservationTerms, *, engine: QuotaEngine) -> Reservation:
        return Reservation(terms, engine=engine)

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
