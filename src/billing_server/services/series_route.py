"""A series of usage with the charges that it feeds, remembered as long as the answer holds."""

from collections.abc import Mapping
from typing import Protocol

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.rating.assignment import Assignment, SeriesAssigner
from billing_server.domain.usage.instants import (
    instant_from_minute,
    microseconds_from_instant,
    minute_from_instant,
)
from billing_server.services.charge_slot import ChargeSlot


class SlotSource(Protocol):
    """Makes the charges of a customer."""

    @property
    def customer_id(self) -> str:
        """Whose."""

    def slots(
        self, assignment: Assignment, *, meter: Meter, dimensions: Mapping[str, str]
    ) -> tuple[ChargeSlot, ...]:
        """Return the charges of an assignment; none where it is unpriced or unratable."""


class SeriesRoute:
    """A series with the charges that it feeds in a span of minutes. Compared by identity."""

    __slots__ = (
        "_assigner",
        "_from_minute",
        "_period",
        "_slots",
        "_until_minute",
        "customer",
        "dimensions",
        "dimensions_json",
        "is_alerted",
        "is_level",
        "is_plain",
        "keeps_readings",
        "meter",
        "money_quantities",
        "series_id",
    )

    def __init__(
        self,
        customer: SlotSource,
        *,
        meter: Meter,
        assigner: SeriesAssigner,
        dimensions: Mapping[str, str],
        dimensions_json: str,
        money_quantities: frozenset[str] | None,
    ) -> None:
        """Makes the route of one series.

        Args:
            customer: makes the charges.
            meter: of the series.
            assigner: says what charges it.
            dimensions: of the series.
            dimensions_json: the same, in canonical form.
            money_quantities: what is kept of each event beside its value; None: no event is kept.
        """
        self.customer = customer
        self.meter = meter
        self.dimensions = dimensions
        self.dimensions_json = dimensions_json
        self.money_quantities = money_quantities or frozenset()
        self.is_level = meter.aggregation is Aggregation.TIME_WEIGHTED
        self.keeps_readings = self.is_level or money_quantities is not None
        # Whether a value is only ever added up: nearly all are.
        self.is_plain = meter.aggregation.is_summed and not self.keeps_readings
        self.series_id: int | None = None
        self.is_alerted = False
        self._assigner = assigner
        self._slots: tuple[ChargeSlot, ...] = ()
        self._period: tuple[str, int] | None = None
        self._from_minute = self._until_minute = 0

    def slots_at(self, minute: int) -> tuple[ChargeSlot, ...]:
        """Returns the charges that usage in this minute feeds; empty where there is none."""
        if not self._from_minute <= minute < self._until_minute:
            self._look_at(minute)
        return self._slots

    def period_at(self, minute: int) -> tuple[str, int] | None:
        """Returns the subscription and period start (microseconds) that charge this minute.

        They are known where the charge itself cannot be rated; None: the usage is unpriced.
        """
        if not self._from_minute <= minute < self._until_minute:
            self._look_at(minute)
        return self._period

    def _look_at(self, minute: int) -> None:
        assignment = self._assigner.at(instant_from_minute(minute))
        timeline, period = assignment.timeline, assignment.period
        self._slots = self.customer.slots(assignment, meter=self.meter, dimensions=self.dimensions)
        self._period = (
            None
            if timeline is None or period is None
            else (timeline.subscription.id, microseconds_from_instant(period.start))
        )
        if self._period is not None:
            # Priced now: where that ends, it is told anew.
            self.is_alerted = False
        self._from_minute = minute_from_instant(assignment.valid_from)
        self._until_minute = minute_from_instant(assignment.valid_until)
