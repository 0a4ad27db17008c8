from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.usage.instants import (
    instant_from_microseconds,
    instant_from_minute,
    microseconds_from_instant,
    minute_from_instant,
)

AWARE = st.datetimes(timezones=st.just(UTC))


@given(AWARE)
def test_an_instant_comes_back_from_its_microseconds(instant: datetime) -> None:
    assert instant_from_microseconds(microseconds_from_instant(instant)) == instant


@given(AWARE)
def test_a_minute_begins_at_or_before_its_instants(instant: datetime) -> None:
    start = instant_from_minute(minute_from_instant(instant))
    assert start <= instant < start + timedelta(minutes=1)
    assert (start.second, start.microsecond) == (0, 0)


def test_an_offset_is_taken_into_account() -> None:
    berlin = datetime(1970, 1, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert microseconds_from_instant(berlin) == 60_000_000


def test_an_instant_before_1970_is_rounded_down_to_its_minute() -> None:
    assert minute_from_instant(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        microseconds_from_instant(datetime(2026, 1, 1))  # noqa: DTZ001
