"""What both meters share of holding quota: what a call asks for, checked before it is sent."""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Generic, TypeVar

from metering.client.event import Quantity
from metering.client.quota import OnAgentUnavailable
from metering.client.quota_engine import QuotaEngine
from metering.client.recorder import Recorder
from metering.client.reservation_state import ReservationTerms

ReservationT = TypeVar("ReservationT")


class Reserver(Recorder, Generic[ReservationT]):
    """Records usage and holds quota, with reservations of one kind."""

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
    ) -> ReservationT:
        """Holds quota for one call; use it in a `with` block, `async with` under asyncio.

        The agent is asked when the block is entered. The hold is renewed in the background for as
        long as the block runs, and ends with it.

        Args:
            customer: Whose quota; 1..128 bytes.
            quantities: The most that the call may use, by name, as in `record`.
            minimum: Less than this is a denial; quantities that it names may be granted in part.
                Unset: all or nothing.
            dimensions: As in `record`; limits may hold for some of them only.
            ttl: How long the hold outlives the last renewal, 1 s..1 h. Unset: 2 minutes.
            reservation_id: Id of the call where it has one; the same id is one reservation, which
                is not entered again once it has ended: a new try of a call takes a new id. Unset:
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
        return self._reservation(terms, engine=self._quota)

    @staticmethod
    @abstractmethod
    def _reservation(terms: ReservationTerms, *, engine: QuotaEngine) -> ReservationT:
        """Returns what a `with` block enters."""
