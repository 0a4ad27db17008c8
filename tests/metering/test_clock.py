"""Tests of the clock, of instants and of durations."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from metering.clock import (
    ManualClock,
    SystemClock,
    as_utc,
    floor_to_minute,
    format_instant,
    parse_duration,
    parse_instant,
)
from metering.errors import ValidationError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_system_clock_tells_aware_utc_time_and_rising_seconds() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.monotonic() <= clock.monotonic()


def test_r12_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(NOON)
    assert (clock.now(), clock.monotonic()) == (NOON, 0.0)
    clock.advance(timedelta(minutes=90))
    assert clock.now() == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    clock.advance_to(datetime(2026, 3, 1, 15, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() == 7200.0


def test_a_manual_clock_may_stand_and_never_goes_back() -> None:
    clock = ManualClock(NOON)
    clock.advance_to(NOON)
    clock.advance(timedelta(0))
    for move in (
        lambda: clock.advance(timedelta(microseconds=-1)),
        lambda: clock.advance_to(NOON - timedelta(seconds=1)),
    ):
        with pytest.raises(ValidationError) as caught:
            move()
        assert caught.value.reason == "CLOCK_BACKWARDS"
    assert clock.now() == NOON


def test_an_instant_without_a_zone_is_refused_everywhere() -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001
    for use in (as_utc, format_instant, floor_to_minute, ManualClock):
        with pytest.raises(ValidationError) as caught:
            use(naive)
        assert caught.value.reason == "INSTANT_NAIVE"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01t12:00:00z", NOON),
        ("2026-03-01 12:00:00Z", NOON),
        ("2026-03-01T12:00:00-00:00", NOON),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01T06:30:00-05:30", NOON),
        ("2026-03-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-03-01T12:00:00.000001Z", NOON + timedelta(microseconds=1)),
        # Finer than a microsecond is cut off, so the last instant of a period stays in it.
        ("2026-03-01T11:59:59.999999999Z", NOON - timedelta(microseconds=1)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_rfc_3339_instant_is_read_as_utc(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-03-01T12:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T12:60:00Z",
        "2026-03-01T12:00:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-01T12:00:00.Z",
        "2026-03-01T12:00:00,5Z",
        "2026-03-01T12:00:00.1234567890Z",
        "2026-03-01T12:00:00+24:00",
        "2026-03-01T12:00:00+0100",
        "20260301T120000Z",
        "2026-W09-7T12:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-03-01T12:00:00Z",
        "2026-03-01T12:00:00Z\n",
        "now",
        "2026-03-01T12:00:00Z" * 1000,
    ],
)
def test_a_text_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_instant(text)
    assert caught.value.reason == "INSTANT_MALFORMED"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NOON, "2026-03-01T12:00:00Z"),
        (NOON + timedelta(microseconds=500_000), "2026-03-01T12:00:00.5Z"),
        (NOON + timedelta(microseconds=10), "2026-03-01T12:00:00.00001Z"),
        (NOON.astimezone(timezone(timedelta(hours=9))), "2026-03-01T12:00:00Z"),
        (datetime(800, 1, 1, tzinfo=UTC), "0800-01-01T00:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc_without_idle_digits(instant: datetime, text: str) -> None:
    assert format_instant(instant) == text
    assert parse_instant(text) == instant


def test_flooring_keeps_the_minute() -> None:
    late = datetime(2026, 3, 1, 12, 34, 59, 999_999, tzinfo=timezone(timedelta(hours=5.5)))
    # 12:34 at +05:30 is 07:04 UTC.
    assert floor_to_minute(late) == datetime(2026, 3, 1, 7, 4, tzinfo=UTC)
    assert floor_to_minute(NOON) == NOON


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("PT1H", timedelta(hours=1)),
        ("P14D", timedelta(days=14)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT1H30M5S", timedelta(hours=1, minutes=30, seconds=5)),
        ("PT0.25S", timedelta(milliseconds=250)),
        ("PT0S", timedelta(0)),
        ("PT90M", timedelta(minutes=90)),
    ],
)
def test_an_iso_8601_duration_of_fixed_length_is_read(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1",
        "1H",
        "5m",
        "P1M",
        "P1Y",
        "-PT1H",
        "PT-1H",
        "P1DT",
        "P1W1D",
        "PT1M1H",
        "PT1.5H",
        "PT1S\n",
        "PT٥S",
        "P9999999999D",
        "pt1h",
        "PT0.1234567S",
    ],
)
def test_a_text_that_is_no_fixed_duration_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_duration(text)
    assert caught.value.reason == "DURATION_MALFORMED"
