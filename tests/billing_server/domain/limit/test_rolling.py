"""Rolling windows: what any span used is counted when it ends."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.rolling import booking_bucket, bucket_length, counted_since

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIVE_HOURS = timedelta(hours=5)


def test_a_window_has_sixty_buckets_of_whole_minutes() -> None:
    assert bucket_length(FIVE_HOURS) == timedelta(minutes=5)
    assert bucket_length(timedelta(minutes=90)) == timedelta(minutes=1)
    assert bucket_length(timedelta(minutes=5)) == timedelta(minutes=1)


def test_use_is_booked_when_its_lease_could_be_spent_last_or_at_receipt_if_earlier() -> None:
    late = NOON + timedelta(minutes=12)
    assert booking_bucket(
        latest_use=late, received=NOON + timedelta(hours=1), window=FIVE_HOURS
    ) == NOON + timedelta(minutes=10)
    assert booking_bucket(latest_use=late, received=NOON, window=FIVE_HOURS) == NOON
    assert booking_bucket(latest_use=None, received=late, window=FIVE_HOURS) == NOON + timedelta(
        minutes=10
    )


def test_what_is_counted_reaches_back_a_window_and_a_part_of_a_bucket() -> None:
    now = NOON + timedelta(minutes=3)
    assert counted_since(now, window=FIVE_HOURS) == NOON - FIVE_HOURS


@given(
    used=st.integers(0, 10**6),
    spent_within=st.integers(0, 62),
    received_after=st.integers(0, 10**6),
    minutes=st.integers(1, 600),
)
def test_use_inside_a_span_is_still_counted_when_the_span_ends(
    used: int, spent_within: int, received_after: int, minutes: int
) -> None:
    window = timedelta(minutes=minutes)
    use = NOON + timedelta(seconds=used)
    bucket = booking_bucket(
        latest_use=use + timedelta(seconds=spent_within),
        received=use + timedelta(seconds=received_after),
        window=window,
    )
    assert bucket >= counted_since(use + window, window=window)
