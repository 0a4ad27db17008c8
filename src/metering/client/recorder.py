"""`record` and `stats`, alike for threads and for asyncio: neither ever waits for the agent."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from time import time_ns
from typing import Final

from metering.client.engine import MeterEngine
from metering.client.event import (
    Quantity,
    RecordedEvent,
    check_arguments,
    check_dimension,
    check_quantity,
)
from metering.client.options import MeterOptions
from metering.client.quota_engine import QuotaEngine
from metering.client.stats import MeterStats
from metering.ids import uuid7

DEFAULT_OPTIONS = MeterOptions()


NO_QUANTITIES: Final[Mapping[str, Quantity]] = {}
"""Of an event that only carries dimensions."""


class Recorder:
    """The part of a meter that is the same under threads and under asyncio."""

    __slots__ = ("_add", "_engine", "_quota")

    def __init__(self, address: str | None = None, *, options: MeterOptions | None = None) -> None:
        self._engine = MeterEngine(address, options=options or DEFAULT_OPTIONS)
        self._add = self._engine.add
        self._quota = QuotaEngine(self._engine.address, options=self._engine.options)

    @property
    def address(self) -> str:
        """Where the agent is looked for: HOST:PORT or unix:PATH."""
        return self._engine.address

    def record(
        self,
        *,
        customer: str,
        quantities: Mapping[str, Quantity] = NO_QUANTITIES,
        dimensions: Mapping[str, str] | None = None,
        event_id: str | None = None,
        event_time: datetime | None = None,
    ) -> str:
        """Records one use and returns at once: nothing is sent, locked or written here.

        An agent that is away is no error: events wait in a bounded buffer. What the buffer cannot
        take is dropped, counted in `stats()` and logged. Digits of quantities, lengths and the
        age of the event are judged by the agent; what it refuses is counted and logged, too.

        Args:
            customer: Whose usage; 1..128 bytes.
            quantities: By name, 1..32, e.g. `{"input_tokens": 1200, "gpu_seconds": "0.35"}`; an
                int, a Decimal or a decimal string, not negative, at most 18 digits of which at
                most 9 fractions. A float is refused: it is not exact. None are needed where a
                meter counts the values of a dimension.
            dimensions: What the use can be priced and grouped by, 0..16, e.g. `{"model": "m"}`.
            event_id: Id of the use where it has one already, 1..128 bytes; the same id counts
                once. Unset: a new UUIDv7.
            event_time: When it was used, with a time zone. Unset: now.

        Returns:
            The event id.

        Raises:
            ValidationError: An argument is of the wrong kind, or a number is negative.
        """
        if (
            type(customer) is not str
            or type(quantities) is not dict
            or not customer
            or not quantities
            or event_id is not None
            or event_time is not None
            or (dimensions is not None and type(dimensions) is not dict)
        ):
            check_arguments(
                customer=customer,
                quantities=quantities,
                dimensions=dimensions,
                event_id=event_id,
                event_time=event_time,
            )
        # Copied, since the caller may change its dicts while the event waits.
        kept_quantities = dict(quantities)
        for name, value in kept_quantities.items():
            if type(value) is not int or value < 0:
                check_quantity(name, value)
        kept_dimensions = None
        if dimensions:
            kept_dimensions = dict(dimensions)
            for name, text in kept_dimensions.items():
                if type(text) is not str:
                    check_dimension(name, text)
        known_id = event_id or uuid7()
        # The time is taken now: buffering must not carry usage across the end of a period.
        self._add(
            RecordedEvent(
                known_id, customer, kept_quantities, kept_dimensions, event_time or time_ns()
            )
        )
        return known_id

    def stats(self) -> MeterStats:
        """Returns what became of everything recorded, as of one moment."""
        return replace(
            self._engine.stats(),
            settlements_waiting=self._quota.waiting,
            settlements_lost=self._quota.lost,
        )
