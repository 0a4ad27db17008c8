"""Replays a trace through the SDK: paced, with back-pressure, and through outages of the agent."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from metering.cli.pace import Pacer, Speed
from metering.cli.trace import TraceRow, TraceSurvey, event_from_row
from metering.client.event import Quantity
from metering.client.stats import MeterStats
from metering.errors import UnavailableError

BUFFER_EVENT_COUNT_MAX = 20_000
"""Events that a replay lets wait for the agent."""

BUFFER_LOW_MARK = BUFFER_EVENT_COUNT_MAX // 4
"""Buffered events down to which a replay waits once the buffer is nearly full."""

BUFFER_HIGH_MARK = BUFFER_EVENT_COUNT_MAX * 3 // 4
"""Buffered events at which a replay waits, so that nothing is ever dropped."""

CHECK_INTERVAL_ROWS = 256
"""Rows between two looks at the buffer; far fewer than what is left above the high mark."""

POLL_SECONDS = 0.05
"""Time between two looks at the buffer while waiting."""


class ReplayMeter(Protocol):
    """What a replay asks of a meter."""

    def record(
        self,
        *,
        customer: str,
        quantities: dict[str, Quantity],
        dimensions: dict[str, str] | None = None,
        event_id: str | None = None,
        event_time: datetime | None = None,
    ) -> str:
        """Records one use."""
        ...

    def flush(self, *, timeout: float) -> bool:
        """Waits until everything recorded so far is settled; False on time-out."""
        ...

    def stats(self) -> MeterStats:
        """Returns all counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """What a trace is replayed as."""

    start: datetime
    """When row 0 is to have happened, aware."""
    customer_count: int
    """Customers that the rows are dealt to in turn. >= 1."""
    model: str
    """Value of the dimension `model`."""
    speed: Speed
    """How fast."""
    row_limit: int | None = None
    """Rows to replay at most, >= 1; None: all."""
    patience_seconds: float = 60.0
    """How long the agent may take nothing before the replay gives up. > 0."""


class Replay:
    """One run of a trace through a meter."""

    def __init__(
        self,
        plan: ReplayPlan,
        *,
        meter: ReplayMeter,
        survey: TraceSurvey,
        on_progress: Callable[[MeterStats], None],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plan = plan
        self._meter = meter
        self._survey = survey
        self._on_progress = on_progress
        self._monotonic = monotonic
        self._sleep = sleep

    @property
    def row_count(self) -> int:
        """Rows that this run replays. >= 1."""
        limit = self._plan.row_limit
        return self._survey.row_count if limit is None else min(limit, self._survey.row_count)

    def run(self, rows: Iterable[TraceRow]) -> MeterStats:
        """Sends the rows and waits until the agent has answered for all of them.

        Raises:
            UnavailableError: AGENT_UNAVAILABLE, where the agent took nothing for too long.
        """
        pacer = Pacer(self._plan.speed, monotonic=self._monotonic, sleep=self._sleep_watching)
        row_count = self.row_count
        for row in rows:
            if row.number >= row_count:
                break
            pacer.wait_for(row.time_ns - self._survey.first_time_ns)
            self._record(row)
            if row.number % CHECK_INTERVAL_ROWS == 0:
                self._make_room()
        self._wait_until(0)
        return self._meter.stats()

    def _record(self, row: TraceRow) -> None:
        event = event_from_row(
            row,
            survey=self._survey,
            start=self._plan.start,
            customer_count=self._plan.customer_count,
            model=self._plan.model,
        )
        self._meter.record(
            customer=event.customer,
            quantities={**event.quantities},
            dimensions=event.dimensions,
            event_id=event.event_id,
            event_time=event.event_time,
        )

    def _make_room(self) -> None:
        stats = self._meter.stats()
        self._on_progress(stats)
        if stats.buffered >= BUFFER_HIGH_MARK:
            self._wait_until(BUFFER_LOW_MARK)

    def _wait_until(self, buffered_max: int) -> None:
        """Waits until at most `buffered_max` events are buffered."""
        last_settled = -1
        patient_until = self._monotonic() + self._plan.patience_seconds
        while (stats := self._meter.stats()).buffered > buffered_max:
            self._on_progress(stats)
            settled = stats.accepted + stats.rejected
            if settled > last_settled:
                last_settled = settled
                patient_until = self._monotonic() + self._plan.patience_seconds
            elif self._monotonic() >= patient_until:
                raise UnavailableError(
                    reason="AGENT_UNAVAILABLE",
                    message=(
                        f"the agent took nothing for {self._plan.patience_seconds:g} s "
                        f"({stats.last_error or 'no answer'}); {stats.buffered} events were not "
                        "delivered. Start the agent and replay again: every event counts once."
                    ),
                )
            if buffered_max == 0:
                self._meter.flush(timeout=POLL_SECONDS * 4)
            else:
                self._sleep(POLL_SECONDS)
        self._on_progress(stats)

    def _sleep_watching(self, seconds: float) -> None:
        """Sleeps, and shows meanwhile what the agent has taken."""
        until = self._monotonic() + seconds
        while (rest := until - self._monotonic()) > 0:
            self._on_progress(self._meter.stats())
            self._sleep(min(rest, POLL_SECONDS * 4))
