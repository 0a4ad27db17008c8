"""Quota of the fake agent: limits in memory, reservations by id, denials on demand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1.agent_pb2 import (
    DECISION_DENIED,
    DECISION_GRANTED,
    DECISION_GRANTED_PARTIALLY,
    CheckQuotaRequest,
    CheckQuotaResponse,
    Decision,
    ExtendReservationRequest,
    ExtendReservationResponse,
    QuotaDenial,
    ReleaseReservationRequest,
    ReserveQuotaRequest,
    ReserveQuotaResponse,
    SettleReservationRequest,
)
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from metering.ids import settlement_event_id

TTL_DEFAULT = timedelta(minutes=2)
LIMIT_REACHED = "LIMIT_REACHED"

DenialRule = Callable[[ReserveQuotaRequest], QuotaDenial | None]
"""Returns the denial for a request to refuse, None for one to judge by the limits."""

EndRequest = SettleReservationRequest | ReleaseReservationRequest


@dataclass
class FakeReservation:
    """A reservation as the fake agent keeps it."""

    request: ReserveQuotaRequest
    """As it was asked for."""
    granted: dict[str, Decimal]
    """What the call may use in all."""
    renewal_count: int = 0
    """Extensions and renewals so far. >= 0."""
    used_so_far: dict[str, str] = field(default_factory=dict)
    """As the last renewal told."""
    end: EndRequest | None = None
    """What ended it; None while it is held."""
    event: UsageEvent | None = None
    """What its end recorded; None where nothing was."""


class FakeQuota:
    """Judges and keeps reservations; a customer without a limit gets all that is asked for."""

    def __init__(self) -> None:
        self.reservations: dict[str, FakeReservation] = {}
        """By reservation id, ended ones too."""
        self._limits: dict[tuple[str, str], tuple[str, Decimal]] = {}
        self._rule: DenialRule | None = None

    def limit(self, customer: str, quantity: str, maximum: Decimal, *, key: str) -> None:
        """Sets what a customer may use of a quantity in all."""
        self._limits[customer, quantity] = (key, maximum)

    def deny_where(self, rule: DenialRule | None) -> None:
        """Denies the reservations for which the rule returns a denial."""
        self._rule = rule

    def left(self, customer: str, quantity: str) -> Decimal | None:
        """Returns what is left of a limit; None where there is none."""
        limit = self._limits.get((customer, quantity))
        if limit is None:
            return None
        taken = sum(
            (
                _taken(item, quantity)
                for item in self.reservations.values()
                if item.request.customer_id == customer
            ),
            Decimal(0),
        )
        return max(limit[1] - taken, Decimal(0))

    def check(self, request: CheckQuotaRequest) -> CheckQuotaResponse:
        """Answers what a reservation would be answered."""
        granted, denial = self._judge(
            request.customer_id, request.quantities, request.minimum_quantities
        )
        if denial is not None:
            return CheckQuotaResponse(decision=DECISION_DENIED, denial=denial)
        return CheckQuotaResponse(
            decision=_decision(granted, request.quantities), granted=_texts(granted)
        )

    def reserve(self, request: ReserveQuotaRequest) -> ReserveQuotaResponse:
        """Grants or denies; the same id is answered the same while it is held.

        Raises:
            AlreadyExistsError: RESERVATION_ID_REUSED: the id was used with other content.
            InvalidStateError: RESERVATION_ENDED: it was settled or released.
        """
        known = self.reservations.get(request.reservation_id)
        if known is None:
            denial = self._rule(request) if self._rule else None
            granted: dict[str, Decimal] = {}
            if denial is None:
                granted, denial = self._judge(
                    request.customer_id, request.quantities, request.minimum_quantities
                )
            if denial is not None:
                return ReserveQuotaResponse(decision=DECISION_DENIED, denial=denial)
            known = FakeReservation(request, granted)
            self.reservations[request.reservation_id] = known
        elif known.request != request:
            raise AlreadyExistsError(
                reason="RESERVATION_ID_REUSED",
                message=f"reservation {request.reservation_id} was made with other content",
            )
        elif known.end is not None:
            raise InvalidStateError(
                reason="RESERVATION_ENDED",
                message=f"reservation {request.reservation_id} was settled or released; make a new "
                "id for each call",
            )
        return ReserveQuotaResponse(
            decision=_decision(known.granted, request.quantities),
            granted=_texts(known.granted),
            expire_time=_expire_time(request),
        )

    def extend(self, request: ExtendReservationRequest) -> ExtendReservationResponse:
        """Adds to a reservation, or renews it.

        Raises:
            NotFoundError: RESERVATION_UNKNOWN.
        """
        known = self._find(request.reservation_id)
        granted, denial = self._judge(
            known.request.customer_id, request.quantities, request.minimum_quantities
        )
        if denial is not None:
            return ExtendReservationResponse(decision=DECISION_DENIED, denial=denial)
        known.renewal_count += 1
        known.used_so_far.update(request.used_so_far)
        for name, amount in granted.items():
            known.granted[name] = known.granted.get(name, Decimal(0)) + amount
        return ExtendReservationResponse(
            decision=_decision(granted, request.quantities),
            granted=_texts(known.granted),
            expire_time=_expire_time(request),
        )

    def end(self, request: EndRequest) -> UsageEvent | None:
        """Ends a reservation; returns the event that is new, None where nothing was recorded.

        Raises:
            NotFoundError: RESERVATION_UNKNOWN: it is not known, and the request names no customer.
            AlreadyExistsError: RESERVATION_ENDED: it was ended before with other content.
        """
        known = self.reservations.get(request.reservation_id)
        if known is None:
            if not request.customer_id:
                raise _unknown(request.reservation_id)
            # Held by another agent, or by nobody: the usage counts all the same.
            asked = ReserveQuotaRequest(
                reservation_id=request.reservation_id, customer_id=request.customer_id
            )
            known = FakeReservation(asked, {})
            self.reservations[request.reservation_id] = known
        if known.end is not None:
            if known.end != request:
                raise AlreadyExistsError(
                    reason="RESERVATION_ENDED",
                    message=f"reservation {request.reservation_id} was ended with other content",
                )
            return None
        known.end = request
        known.event = _event(known, request)
        return known.event

    def _find(self, reservation_id: str) -> FakeReservation:
        known = self.reservations.get(reservation_id)
        if known is None or known.end is not None:
            raise _unknown(reservation_id)
        return known

    def _judge(
        self, customer: str, asked: Mapping[str, str], minimum: Mapping[str, str]
    ) -> tuple[dict[str, Decimal], QuotaDenial | None]:
        granted: dict[str, Decimal] = {}
        for name, text in sorted(asked.items()):
            amount, left = Decimal(text), self.left(customer, name)
            if left is not None and amount > left:
                if name not in minimum or left < Decimal(minimum[name]):
                    return {}, _denial(self._limits[customer, name], quantity=name, left=left)
                amount = left
            granted[name] = amount
        return granted, None


def _taken(item: FakeReservation, quantity: str) -> Decimal:
    """Returns what a reservation has used of a quantity, or may still use while it is held."""
    if item.end is None:
        return item.granted.get(quantity, Decimal(0))
    if item.event is None:
        return Decimal(0)
    return Decimal(item.event.quantities.get(quantity, "0"))


def _event(known: FakeReservation, request: EndRequest) -> UsageEvent | None:
    asked = known.request
    if isinstance(request, SettleReservationRequest):
        quantities = dict(request.quantities)
    else:
        quantities = dict(request.incurred_quantities)
    if not quantities:
        return None
    event = UsageEvent(
        event_id=settlement_event_id(asked.customer_id, asked.reservation_id),
        customer_id=asked.customer_id,
        quantities=quantities,
        dimensions=dict(request.dimensions) or dict(asked.dimensions),
    )
    if request.HasField("event_time"):
        event.event_time.CopyFrom(request.event_time)
    return event


def _decision(granted: Mapping[str, Decimal], asked: Mapping[str, str]) -> Decision:
    is_whole = all(granted.get(name) == Decimal(text) for name, text in asked.items())
    return DECISION_GRANTED if is_whole else DECISION_GRANTED_PARTIALLY


def _denial(limit: tuple[str, Decimal], *, quantity: str, left: Decimal) -> QuotaDenial:
    key, maximum = limit
    return QuotaDenial(
        limit_key=key,
        remaining={quantity: format(left, "f")},
        reason=LIMIT_REACHED,
        message=f"the limit {key} of {maximum:f} {quantity} is reached: {left:f} left",
    )


def _unknown(reservation_id: str) -> NotFoundError:
    return NotFoundError(
        reason="RESERVATION_UNKNOWN", message=f"no reservation {reservation_id} is held here"
    )


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: format(amount, "f") for name, amount in amounts.items()}


def _expire_time(request: ReserveQuotaRequest | ExtendReservationRequest) -> Timestamp:
    ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else TTL_DEFAULT
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.now(UTC) + ttl)
    return timestamp
