"""A replay waits for room, for its pace and for the agent; it never drops and never hangs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from metering.cli.pace import Speed
from metering.cli.replay import BUFFER_EVENT_COUNT_MAX, BUFFER_HIGH_MARK, Replay, ReplayPlan
from metering.cli.trace import TraceRow, TraceSurvey
from metering.client.event import Quantity
from metering.client.stats import MeterStats
from metering.errors import UnavailableError

START = datetime(2026, 11, 1, tzinfo=UTC)
SECOND_NS = 1_000_000_000


class VirtualMeter:
    """A meter on virtual time, whose agent takes `rate` events a second while it is there."""

    def __init__(self, *, rate: int) -> None:
        self.rate = rate
        self.now = 0.0
        self.events: list[tuple[str, str, datetime]] = []
        self.accepted = 0
        self.buffered_max = 0

    def record(
        self,
        *,
        customer: str,
        quantities: Mapping[str, Quantity],
        dimensions: Mapping[str, str] | None = None,
        event_id: str | None = None,
        event_time: datetime | None = None,
    ) -> str:
        assert event_id is not None
        assert event_time is not None
        self.events.append((event_id, customer, event_time))
        self.buffered_max = max(self.buffered_max, len(self.events) - self.accepted)
        return event_id

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.accepted = min(len(self.events), self.accepted + int(self.rate * seconds))

    def flush(self, *, timeout: float) -> bool:
        self.sleep(timeout)
        return self.accepted == len(self.events)

    def stats(self) -> MeterStats:
        return MeterStats(
            recorded=len(self.events),
            accepted=self.accepted,
            rejected=0,
            dropped=0,
            buffered=len(self.events) - self.accepted,
            retries=0,
            last_error="UNAVAILABLE: away" if self.rate == 0 else "",
        )


def _survey(row_count: int) -> TraceSurvey:
    return TraceSurvey(sha256="ab" * 32, row_count=row_count, first_time_ns=0, duration_ns=0)


def _rows(row_count: int) -> list[TraceRow]:
    return [TraceRow(number, number * SECOND_NS, 10, 20) for number in range(row_count)]


def _replay(
    meter: VirtualMeter,
    row_count: int,
    *,
    factor: Fraction | None = None,
    row_limit: int | None = None,
    shown: list[MeterStats] | None = None,
) -> MeterStats:
    plan = ReplayPlan(
        start=START,
        customer_count=3,
        model="m",
        speed=Speed(factor=factor),
        row_limit=row_limit,
        patience_seconds=10.0,
    )
    replay = Replay(
        plan,
        meter=meter,
        survey=_survey(row_count),
        on_progress=(shown if shown is not None else []).append,
        monotonic=lambda: meter.now,
        sleep=meter.sleep,
    )
    return replay.run(_rows(row_count))


def test_every_row_is_recorded_and_answered_for() -> None:
    meter = VirtualMeter(rate=1_000)
    stats = _replay(meter, 7)
    assert (stats.recorded, stats.accepted, stats.buffered) == (7, 7, 0)
    assert [customer for _, customer, _ in meter.events] == [
        f"customer-{number % 3}" for number in range(7)
    ]
    assert meter.events[2][2] == datetime(2026, 11, 1, 0, 0, 2, tzinfo=UTC)


def test_a_slow_agent_holds_the_replay_back_before_anything_is_dropped() -> None:
    meter = VirtualMeter(rate=5_000)
    row_count = BUFFER_EVENT_COUNT_MAX * 3
    assert _replay(meter, row_count).accepted == row_count
    assert BUFFER_HIGH_MARK <= meter.buffered_max < BUFFER_EVENT_COUNT_MAX


def test_a_limit_ends_the_replay_early() -> None:
    meter = VirtualMeter(rate=1_000)
    assert _replay(meter, 9, row_limit=4).recorded == 4
    assert _replay(VirtualMeter(rate=1_000), 9, row_limit=40).recorded == 9


def test_a_paced_replay_takes_the_trace_s_time_and_shows_progress_meanwhile() -> None:
    meter = VirtualMeter(rate=1_000)
    shown: list[MeterStats] = []
    # 11 rows a second apart at twice the speed: the last is due after 5 s.
    _replay(meter, 11, factor=Fraction(2), shown=shown)
    assert 5.0 <= meter.now < 6.0
    assert len(shown) > 10


def test_an_agent_that_takes_nothing_ends_the_replay_with_the_remedy() -> None:
    meter = VirtualMeter(rate=0)
    with pytest.raises(UnavailableError, match="took nothing for 10 s") as caught:
        _replay(meter, 5)
    assert "5 events were not delivered" in str(caught.value)
    assert "UNAVAILABLE: away" in str(caught.value)
    assert "replay again: every event counts once" in str(caught.value)


def test_an_outage_shorter_than_the_patience_is_waited_out() -> None:
    class BackAfterFiveSeconds(VirtualMeter):
        def sleep(self, seconds: float) -> None:
            self.rate = 1_000 if self.now >= 5 else 0
            super().sleep(seconds)

    meter = BackAfterFiveSeconds(rate=0)
    assert _replay(meter, 5).accepted == 5
