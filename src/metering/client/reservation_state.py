"""What a reservation knows and asks, alike for threads and for asyncio; it waits for nothing."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1 import agent_pb2
from metering.client.event import (
    Quantity,
    check_arguments,
    check_dimension,
    check_has_quantity,
    check_quantity,
    quantity_text,
)
from metering.client.quota import (
    OnAgentUnavailable,
    decimals_from_proto,
    denied_from_proto,
    denied_without_agent,
)
from metering.client.quota_engine import EndRequest
from metering.client.quota_transport import AgentAwayError
from metering.errors import FieldViolation, InvalidStateError, ValidationError
from metering.ids import settlement_event_id, uuid7

TTL_DEFAULT: Final = timedelta(minutes=2)
TTL_MIN: Final = timedelta(seconds=1)
TTL_MAX: Final = timedelta(hours=1)
RENEWALS_PER_TTL: Final = 3
"""Two renewals may fail before a hold ends."""

Quantities = Mapping[str, Quantity]
GrantAnswer = agent_pb2.ReserveQuotaResponse | agent_pb2.ExtendReservationResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationTerms:
    """What a call asks for before it is made."""

    customer: str
    """Whose quota; 1..128 bytes."""
    quantities: Quantities
    """The most that the call may use, by quantity name."""
    minimum: Quantities | None = None
    """Less than this is a denial; names must stand in `quantities`. None: all or nothing."""
    dimensions: Mapping[str, str] | None = None
    """As in `record`."""
    ttl: timedelta | None = None
    """How long the hold stands after the last renewal, 1 s..1 h. None: 2 minutes."""
    reservation_id: str | None = None
    """Id of the call where it has one; 1..128 printable characters. None: a new UUIDv7."""
    on_agent_unavailable: OnAgentUnavailable = OnAgentUnavailable.DENY
    """What to do when no agent answers in time."""

    def __post_init__(self) -> None:
        check_arguments(
            customer=self.customer,
            quantities=self.quantities,
            dimensions=self.dimensions,
            event_id=self.reservation_id,
            event_time=None,
        )
        check_has_quantity(self.quantities)
        _check_amounts(self.quantities, minimum=self.minimum or {})
        for name, text in (self.dimensions or {}).items():
            check_dimension(name, text)
        if self.ttl is not None and not TTL_MIN <= self.ttl <= TTL_MAX:
            raise _invalid("TTL_OUT_OF_RANGE", "ttl", "pass 1 second to 1 hour")


class ReservationState:
    """The life of one reservation. Any thread may look at it; its calls are its owner's.

    Args:
        terms: What is asked for.
        address: Where the agent is looked for, for messages.
    """

    def __init__(self, terms: ReservationTerms, *, address: str) -> None:
        self.terms: Final = terms
        self.reservation_id: Final = terms.reservation_id or uuid7()
        self.granted: dict[str, Decimal] = {}
        """What the call may use in all, by quantity name."""
        self.is_held = False
        """Whether an agent holds it."""
        self._address = address
        self._lock = threading.Lock()
        self._used: dict[str, str] = {}
        self._end: EndRequest | None = None
        self._is_begun = False

    @property
    def event_id(self) -> str:
        """Id of the usage event that a settlement records."""
        return settlement_event_id(self.terms.customer, self.reservation_id)

    @property
    def is_open(self) -> bool:
        """Whether it was begun and has not ended."""
        return self._is_begun and self._end is None

    @property
    def renewal_seconds(self) -> float:
        """Seconds between two renewals. > 0."""
        return (self.terms.ttl or TTL_DEFAULT).total_seconds() / RENEWALS_PER_TTL

    def request(self) -> agent_pb2.ReserveQuotaRequest:
        """Returns the request that begins it.

        Raises:
            InvalidStateError: RESERVATION_USED where it was begun before.
        """
        if self._is_begun:
            raise InvalidStateError(
                reason="RESERVATION_USED",
                message="a reservation is entered once; call meter.reserve(...) for each call",
            )
        self._is_begun = True
        terms = self.terms
        request = agent_pb2.ReserveQuotaRequest(
            reservation_id=self.reservation_id,
            customer_id=terms.customer,
            dimensions=terms.dimensions,
            quantities=_texts(terms.quantities),
            minimum_quantities=_texts(terms.minimum or {}),
        )
        if terms.ttl is not None:
            request.ttl.FromTimedelta(terms.ttl)
        return request

    def answered(self, response: GrantAnswer) -> None:
        """Takes what was granted.

        Raises:
            QuotaDenied: Nothing was.
        """
        if response.decision == agent_pb2.DECISION_DENIED:
            raise denied_from_proto(response.denial)
        self.granted = decimals_from_proto(response.granted)
        self.is_held = True

    def not_answered(self, error: AgentAwayError, *, quantities: Quantities) -> None:
        """Does without an agent, where the caller allows that.

        Args:
            error: Why there was no answer.
            quantities: What was asked for, in addition to what was granted.

        Raises:
            QuotaDenied: AGENT_UNAVAILABLE: the caller does not allow it.
        """
        if self.terms.on_agent_unavailable is OnAgentUnavailable.DENY:
            raise denied_without_agent(self._address, why=error.message)
        for name, value in _texts(quantities).items():
            self.granted[name] = self.granted.get(name, Decimal(0)) + Decimal(value)

    def extension(
        self, quantities: Quantities, *, minimum: Quantities | None = None
    ) -> agent_pb2.ExtendReservationRequest:
        """Returns the request that adds to it; without quantities it renews only.

        Raises:
            InvalidStateError: RESERVATION_ENDED, or RESERVATION_NOT_BEGUN.
            ValidationError: MINIMUM_UNKNOWN, or a number is of the wrong kind.
        """
        self._refuse_unless_open()
        _check_amounts(quantities, minimum=minimum or {})
        request = agent_pb2.ExtendReservationRequest(
            reservation_id=self.reservation_id,
            quantities=_texts(quantities),
            minimum_quantities=_texts(minimum or {}),
            used_so_far=self._used,
            request_id=uuid7(),
        )
        if self.terms.ttl is not None:
            request.ttl.FromTimedelta(self.terms.ttl)
        return request

    def renewal(self) -> agent_pb2.ExtendReservationRequest | None:
        """Returns the request that renews it; None where it has ended."""
        return self.extension({}) if self.is_open else None

    def use(self, quantities: Quantities) -> None:
        """Notes what was used so far, in all; a name that is not noted again keeps its value."""
        for name, value in quantities.items():
            check_quantity(name, value)
        with self._lock:
            self._used = {**self._used, **_texts(quantities)}

    def settlement(
        self,
        quantities: Quantities,
        *,
        dimensions: Mapping[str, str] | None,
        event_time: datetime | None,
    ) -> EndRequest:
        """Returns the request that ends it with what was used.

        Raises:
            InvalidStateError: RESERVATION_NOT_BEGUN.
            ValidationError: An argument is of the wrong kind.
        """
        if not self._is_begun:
            self._refuse_unless_open()
        terms = self.terms
        check_arguments(
            customer=terms.customer,
            quantities=quantities,
            dimensions=dimensions,
            event_id=None,
            event_time=event_time,
        )
        check_has_quantity(quantities)
        for name, value in quantities.items():
            check_quantity(name, value)
        request = agent_pb2.SettleReservationRequest(
            reservation_id=self.reservation_id,
            customer_id=terms.customer,
            quantities=_texts(quantities),
            # Sent as well where they are the reservation's own: another agent does not know them.
            dimensions=dimensions if dimensions is not None else terms.dimensions,
            event_time=_timestamp(event_time),
        )
        self._end = request
        return request

    def release(self, incurred: Quantities | None = None) -> EndRequest:
        """Returns the request that gives it back, with what was incurred all the same.

        Args:
            incurred: None: what was noted by `use`.
        """
        terms = self.terms
        for name, value in (incurred or {}).items():
            check_quantity(name, value)
        request = agent_pb2.ReleaseReservationRequest(
            reservation_id=self.reservation_id,
            customer_id=terms.customer,
            incurred_quantities=self._used if incurred is None else _texts(incurred),
            dimensions=terms.dimensions,
        )
        self._end = request
        return request

    def reopen(self) -> None:
        """Takes an end back that the agent refused for its content: another one may follow."""
        self._end = None

    def leave(self, exception: BaseException | None) -> EndRequest | None:
        """Returns what ends it on the way out of its block; None where it has ended.

        What was noted by `use` is settled; after an exception, or where nothing was noted, the rest
        is given back.

        Args:
            exception: That ends the block; None where it ended well.
        """
        if not self.is_open:
            return None
        if exception is None and self._used:
            return self.settlement(
                dict(self._used), dimensions=self.terms.dimensions, event_time=None
            )
        return self.release()

    def _refuse_unless_open(self) -> None:
        if self.is_open:
            return
        if not self._is_begun:
            raise InvalidStateError(
                reason="RESERVATION_NOT_BEGUN",
                message="use the reservation in a with block: with meter.reserve(...) as r",
            )
        raise InvalidStateError(
            reason="RESERVATION_ENDED",
            message=f"reservation {self.reservation_id} was settled or released",
        )


def _check_amounts(quantities: Quantities, *, minimum: Quantities) -> None:
    for amounts in (quantities, minimum):
        for name, value in amounts.items():
            check_quantity(name, value)
    for name in minimum:
        if name not in quantities:
            raise _invalid("MINIMUM_UNKNOWN", f"minimum[{name!r}]", "name it in quantities too")


def _texts(quantities: Quantities) -> dict[str, str]:
    return {name: quantity_text(value) for name, value in quantities.items()}


def _timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(instant)
    return timestamp


def _invalid(reason: str, field: str, description: str) -> ValidationError:
    return ValidationError(
        reason=reason,
        message=f"{field}: {description}.",
        violations=(FieldViolation(field=field, description=description, reason=reason),),
    )
