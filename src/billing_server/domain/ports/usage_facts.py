"""The port of usage beside counting: readings, events by time, corrections, adjustments."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from billing_server.domain.ports.usage import ChargeKey, EventKey, EventRow


class Reading(NamedTuple):
    """What one event or adjustment brought a meter for which the order of events matters."""

    series_id: int
    time_us: int
    event_id: str
    value: int
    """In the meter's smallest unit."""
    is_change: bool
    """Whether the value changes the level before it, or sets a new one."""
    money: Mapping[str, str] | None
    """Quantities that prices read as money; None: none."""


class CorrectionKind(StrEnum):
    """What a correction does to an event."""

    VOID = "void"
    AMEND = "amend"


@dataclass(frozen=True, slots=True)
class Correction:
    """A fact about an event that was counted; the newest one of an event counts (R16)."""

    event_id: str
    """Which event."""
    customer_id: str
    """Whose."""
    version: int
    """From 1."""
    kind: CorrectionKind
    """Whether the event counts nothing, or something else."""
    quantities: Mapping[str, str] | None
    """What stands in place of the event's quantities; None for a void."""
    reason: str
    """Why, for people."""
    create_time: datetime
    """When it was made."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A signed quantity that was added to a meter by hand."""

    id: str
    """Made by the server."""
    customer_id: str
    """Whose."""
    meter_key: str
    """To which meter."""
    dimensions: Mapping[str, str]
    """With which dimensions it counts."""
    event_time: datetime
    """When it counts."""
    value: int
    """Signed, in the meter's smallest unit."""
    reason: str
    """Why, for people."""
    create_time: datetime
    """When it was made."""


class UsageFactRepository(Protocol):
    """What is kept beside the events of usage."""

    def series_of(self, customer_id: str, *, meter_key: str) -> dict[int, Mapping[str, str]]:
        """Return the series of a customer's meter: number to dimensions."""

    def readings(
        self, customer_id: str, *, meter_key: str, start: datetime, end: datetime
    ) -> Iterator[Reading]:
        """Walk the readings of a meter in [start, end), by (time, event id)."""

    def readings_back(
        self, customer_id: str, *, series_id: int, before: datetime
    ) -> Iterator[Reading]:
        """Walk the readings of a series before an instant, the last one first."""

    def events_between(
        self, customer_id: str, *, start: datetime, end: datetime
    ) -> tuple[EventRow, ...]:
        """Return the counted events of a customer with a time in [start, end), by (time, id)."""

    def events_of_id(self, event_id: str) -> tuple[EventRow, ...]:
        """Return the events with an id, which may belong to several customers."""

    def add_correction(self, correction: Correction) -> None:
        """Write a correction."""

    def corrections(self, keys: Collection[EventKey]) -> dict[EventKey, Correction]:
        """Return the newest correction of those events that have one."""

    def add_adjustment(self, adjustment: Adjustment) -> None:
        """Write an adjustment."""

    def adjustment(self, adjustment_id: str) -> Adjustment | None:
        """Return an adjustment; None where there is none of that id."""

    def adjustments(
        self,
        customer_id: str,
        *,
        start: datetime,
        end: datetime,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[Adjustment, ...]:
        """Return a customer's adjustments that count in [start, end), by (time, id).

        Args:
            customer_id: whose.
            start: the first instant.
            end: the instant behind the last one.
            after: of those at `start`, only the ones behind this id; None: all.
            limit: at most so many; None: all.
        """

    def series_by_number(
        self, numbers: Collection[int]
    ) -> tuple[tuple[str, Mapping[str, str], str], ...]:
        """Return meter key and dimensions, the latter also as canonical JSON, of some series."""

    def minutes_of_meters(self, meter_keys: Collection[str]) -> Iterator[tuple[str, int]]:
        """Walk (customer id, minute) of everything that some meters have counted, by customer."""

    def delete_charge_rows(self, keys: Collection[ChargeKey]) -> None:
        """Delete some running charges, with the values and states that they keep."""

    def event_state(self, key: ChargeKey) -> str | None:
        """Return where the rating of a charge by event stopped; None: it begins anew."""

    def put_event_states(self, states: Mapping[ChargeKey, str]) -> None:
        """Write where the rating of charges by event stopped; deleted with the charges."""

    def clear_minutes(self, customer_id: str, *, minutes: Collection[int]) -> frozenset[int]:
        """Delete the buckets and readings of some minutes; return the series that had any."""
