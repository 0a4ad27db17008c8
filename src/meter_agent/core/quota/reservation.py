"""Reservations: HELD, then SETTLED, RELEASED or EXPIRED, and from there LATE_SETTLED.

One durable row each. What a reservation holds stands in its leases as `held`; a transition says
what of it is consumed and what comes back, and the caller applies that in the same commit as the
row and the usage event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from meter_agent.core.quota.decide import Take
from meter_agent.core.quota.terms import Quantities
from metering.errors import (
    AlreadyExistsError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from metering.quantity import plain_decimal

TTL_US_DEFAULT: Final = 120 * 1_000_000
"""How long a hold stands without a renewal, where the caller does not say: 2 minutes."""
TTL_US_MIN: Final = 1_000_000
TTL_US_MAX: Final = 3600 * 1_000_000
LATE_US_DEFAULT: Final = 15 * 60 * 1_000_000
"""How long an expired hold is presumed used before it goes back: `t_late`, 15 minutes."""
REMEMBERED_EXTENSIONS_MAX: Final = 64
"""Ids of the latest extensions that a reservation keeps, so that a retry is answered the same."""


class ReservationState(StrEnum):
    """Where a reservation stands."""

    HELD = "held"
    """Its call may be made."""
    SETTLED = "settled"
    """Ended with what was used."""
    RELEASED = "released"
    """Given back, what was incurred recorded."""
    EXPIRED = "expired"
    """Not renewed in time: presumed used, until it is ended late or goes back."""
    LATE_SETTLED = "late_settled"
    """Ended after it had expired."""


class EndKind(StrEnum):
    """Which of the two calls ends a reservation."""

    SETTLE = "settle"
    """With what was used."""
    RELEASE = "release"
    """With what was incurred, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a call said, in canonical form: by this a retry is told from another call."""

    quantities: tuple[tuple[str, str], ...] = ()
    """Sorted by name; plain decimals."""
    dimensions: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""
    minimum_quantities: tuple[tuple[str, str], ...] = ()
    """Sorted by name; of a reservation only."""
    event_time_ns: int | None = None
    """Of a settlement, nanoseconds since 1970 UTC; None: unset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reservation was ended."""

    kind: EndKind
    """Which call ended it."""
    content: Content
    """What that call said."""
    event_id: str = ""
    """Of the usage event that it recorded; empty where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One reservation. Times are on the clock of leases unless they say otherwise."""

    customer_id: str
    """Whose quota."""
    reservation_id: str
    """As its caller made it."""
    content: Content
    """What was asked for first."""
    granted: Quantities
    """What its call may use in all, extensions included."""
    takes: tuple[Take, ...] = ()
    """What it took from which lease; one entry a lease. Held until it ends or goes back."""
    state: ReservationState = ReservationState.HELD
    """Where it stands."""
    ttl_us: int = TTL_US_DEFAULT
    """How long the hold stands without a renewal, microseconds."""
    boot_id: str = ""
    """Of the machine, when the times below were taken."""
    reserved_at_us: int = 0
    """When it was granted."""
    expires_at_us: int = 0
    """When it ends without a renewal."""
    reserve_time_us: int = 0
    """Wall clock, microseconds since 1970 UTC; for people. 0: it was never held at this agent."""
    caller: str = ""
    """Who asked; for people."""
    used_so_far: Mapping[str, str] = field(default_factory=dict)
    """What the last renewal told, by quantity name."""
    extensions: tuple[tuple[str, Content], ...] = ()
    """Ids and contents of the latest extensions that were granted."""
    ending: Ending | None = None
    """How it was ended; None while it was not."""
    is_returned: bool = False
    """Whether its hold went back although nobody ended it."""
    expiry_event_id: str = ""
    """Event billed for it on a guess, which a late end voids; empty where there is none."""

    @property
    def holds(self) -> bool:
        """Whether its takes still stand in their leases as held."""
        is_open = self.state in {ReservationState.HELD, ReservationState.EXPIRED}
        return is_open and not self.is_returned

    @property
    def was_held_here(self) -> bool:
        """Whether this agent granted it; else it was only ended here."""
        return self.reserve_time_us > 0


class EndCase(StrEnum):
    """What an ending meets."""

    IN_TIME = "in_time"
    """The reservation is held."""
    LATE = "late"
    """It has expired: what was used replaces what was presumed."""
    REPEATED = "repeated"
    """It was ended so before: the same answer, nothing changes."""
    ELSEWHERE = "elsewhere"
    """It is not known here: the usage is accepted and flagged."""


def content_of(
    *,
    quantities: Quantities,
    dimensions: Mapping[str, str] | None = None,
    minimum_quantities: Quantities | None = None,
    event_time_ns: int | None = None,
) -> Content:
    """Returns the canonical content of a call: `{"t": 1.50}` equals `{"t": 1.5}`."""
    return Content(
        quantities=_canonical(quantities),
        dimensions=tuple(sorted((dimensions or {}).items())),
        minimum_quantities=_canonical(minimum_quantities or {}),
        event_time_ns=event_time_ns,
    )


def ttl_of(requested_us: int | None, *, default_us: int = TTL_US_DEFAULT) -> int:
    """Returns the time to live of a hold in microseconds.

    Raises:
        ValidationError: TTL_OUT_OF_RANGE below 1 s or above 1 h.
    """
    if requested_us is None:
        return default_us
    if TTL_US_MIN <= requested_us <= TTL_US_MAX:
        return requested_us
    raise ValidationError(
        reason="TTL_OUT_OF_RANGE",
        message=f"ttl is {requested_us / 1_000_000:g} s; give 1 s to 1 h, and renew a longer call "
        "with ExtendReservation",
    )


def repeated_reserve(found: Reservation | None, *, content: Content) -> Reservation | None:
    """Returns the reservation that answers a retry; None where the id is new.

    Only a held one answers: granting what has ended would let a call be made that nothing is held
    for, and whose usage could not be settled.

    Raises:
        AlreadyExistsError: RESERVATION_ID_REUSED where the id was used with other content.
        InvalidStateError: RESERVATION_ENDED where it was settled, released, or has expired.
    """
    if found is None:
        return None
    if found.was_held_here and found.content != content:
        raise AlreadyExistsError(
            reason="RESERVATION_ID_REUSED",
            message=f"reservation_id {found.reservation_id!r} was used with other content; make a "
            "new id for each call, and repeat a request unchanged",
        )
    if found.state is not ReservationState.HELD:
        raise _no_longer_held(found, advice="make a new id for each call")
    return found


def held_for_extension(found: Reservation | None, *, reservation_id: str) -> Reservation:
    """Returns the reservation that an extension may change.

    Raises:
        NotFoundError: RESERVATION_UNKNOWN where this agent has none of that id.
        InvalidStateError: RESERVATION_ENDED where it was settled, released, or has expired.
    """
    if found is None:
        raise unknown_reservation(reservation_id)
    if found.state is ReservationState.HELD:
        return found
    raise _no_longer_held(found, advice="only a held one is extended: reserve under a new id")


def is_repeated_extension(found: Reservation, *, request_id: str, content: Content) -> bool:
    """Tells whether an extension was granted before: a retry adds nothing.

    Raises:
        AlreadyExistsError: EXTENSION_ID_REUSED where the id was used with other content.
    """
    known = dict(found.extensions).get(request_id)
    if known is None or not request_id:
        return False
    if known == content:
        return True
    raise AlreadyExistsError(
        reason="EXTENSION_ID_REUSED",
        message=f"request_id {request_id!r} was used with other content; make a new one for each "
        "extension, and repeat a request unchanged",
    )


def extended(
    found: Reservation,
    *,
    granted: Quantities,
    takes: tuple[Take, ...],
    request_id: str,
    content: Content,
) -> Reservation:
    """Returns the reservation after more was granted (or nothing: `takes` empty)."""
    total = dict(found.granted)
    for name, value in granted.items():
        total[name] = total.get(name, 0) + value
    known = found.extensions
    if request_id:
        known = (*known, (request_id, content))[-REMEMBERED_EXTENSIONS_MAX:]
    return replace(found, granted=total, takes=_joined(found.takes, takes), extensions=known)


def renewed(
    found: Reservation, *, now_us: int, ttl_us: int, used_so_far: Mapping[str, str]
) -> Reservation:
    """Returns the reservation with its time to live anew."""
    return replace(
        found,
        ttl_us=ttl_us,
        expires_at_us=now_us + ttl_us,
        used_so_far=dict(used_so_far) or found.used_so_far,
    )


def case_of_ending(
    found: Reservation | None, *, kind: EndKind, content: Content, reservation_id: str
) -> EndCase:
    """Returns what a settlement or release meets.

    Raises:
        AlreadyExistsError: SETTLEMENT_CONFLICT where it was ended before in another way.
    """
    if found is None:
        return EndCase.ELSEWHERE
    if found.ending is None:
        is_held = found.state is ReservationState.HELD
        return EndCase.IN_TIME if is_held else EndCase.LATE
    if (found.ending.kind, found.ending.content) == (kind, content):
        return EndCase.REPEATED
    raise AlreadyExistsError(
        reason="SETTLEMENT_CONFLICT",
        message=f"reservation {reservation_id!r} was ended before by {found.ending.kind} with "
        "other content; the first stands: record the difference as usage of its own, or repeat "
        "the request unchanged",
    )


def ended(found: Reservation, *, ending: Ending) -> Reservation:
    """Returns the reservation after it was settled or released, in time or late."""
    if found.state is ReservationState.EXPIRED:
        state = ReservationState.LATE_SETTLED
    elif ending.kind is EndKind.SETTLE:
        state = ReservationState.SETTLED
    else:
        state = ReservationState.RELEASED
    return replace(found, state=state, ending=ending)


def is_due_to_expire(found: Reservation, *, now_us: int) -> bool:
    """Tells whether a held reservation was not renewed in time."""
    return found.state is ReservationState.HELD and now_us >= found.expires_at_us


def expired(found: Reservation) -> Reservation:
    """Returns the reservation after its time ran out: presumed used, its takes still held."""
    return replace(found, state=ReservationState.EXPIRED)


def is_due_to_return(found: Reservation, *, now_us: int, late_us: int = LATE_US_DEFAULT) -> bool:
    """Tells whether an expired hold has been presumed used for long enough."""
    return (
        found.state is ReservationState.EXPIRED
        and not found.is_returned
        and now_us >= found.expires_at_us + late_us
    )


def returned(found: Reservation, *, expiry_event_id: str = "") -> Reservation:
    """Returns the reservation after its hold went back; it stays on the list of the unsettled.

    Args:
        found: As it stands.
        expiry_event_id: Of what was billed for it on a guess; empty where nothing was.
    """
    return replace(found, is_returned=True, expiry_event_id=expiry_event_id)


def reloaded(found: Reservation, *, boot_id: str, now_us: int) -> Reservation:
    """Returns the reservation as a new process of the agent finds it.

    In the same boot of the machine the remaining time goes on; another boot starts it anew, for
    its clock began at zero. An empty boot id tells nothing, and counts as another boot.
    """
    if boot_id and found.boot_id == boot_id:
        return found
    return replace(
        found, boot_id=boot_id, reserved_at_us=now_us, expires_at_us=now_us + found.ttl_us
    )


def unknown_reservation(reservation_id: str) -> NotFoundError:
    """Returns the error for an id that this agent does not have."""
    return NotFoundError(
        reason="RESERVATION_UNKNOWN",
        message=f"this agent holds no reservation {reservation_id!r}; reserve again, or name the "
        "customer_id when you settle what another agent granted",
    )


def _no_longer_held(found: Reservation, *, advice: str) -> InvalidStateError:
    return InvalidStateError(
        reason="RESERVATION_ENDED",
        message=f"reservation {found.reservation_id!r} is {found.state}; {advice}",
        metadata={"state": str(found.state)},
    )


def _joined(takes: tuple[Take, ...], more: tuple[Take, ...]) -> tuple[Take, ...]:
    amounts: dict[tuple[str, bytes], int] = {}
    for take in (*takes, *more):
        key = (take.limit_key, take.lease_id)
        amounts[key] = amounts.get(key, 0) + take.amount
    return tuple(
        Take(limit_key, lease_id, amount) for (limit_key, lease_id), amount in amounts.items()
    )


def _canonical(quantities: Quantities) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, plain_decimal(value)) for name, value in quantities.items()))
