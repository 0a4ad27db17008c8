"""Options are checked together, when they are made."""

import pytest

from metering.client.options import MeterOptions
from metering.errors import ValidationError


def test_the_defaults_are_valid() -> None:
    assert MeterOptions().buffer_event_count_max == 100_000


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"buffer_event_count_max": 0}, "buffer_event_count_max"),
        ({"batch_event_count_max": 10_001}, "batch_event_count_max"),
        ({"batch_bytes_max": 4 * 1024 * 1024 + 1}, "batch_bytes_max"),
        ({"request_timeout_seconds": 0.0}, "request_timeout_seconds"),
        ({"backoff_initial_seconds": 3.0, "backoff_max_seconds": 2.0}, "backoff_initial_seconds"),
        ({"isolation_attempt_count_max": 0}, "isolation_attempt_count_max"),
        ({"linger_seconds": -0.1}, "linger_seconds"),
    ],
)
def test_an_option_out_of_range_is_named(changes: dict[str, float], named: str) -> None:
    with pytest.raises(ValidationError, match=named) as caught:
        MeterOptions(**changes)  # type: ignore[arg-type]
    assert caught.value.reason == "METER_OPTIONS_INVALID"


def test_all_options_out_of_range_are_named_at_once() -> None:
    with pytest.raises(ValidationError, match=r"buffer_event_count_max.*batch_bytes_max"):
        MeterOptions(buffer_event_count_max=0, batch_bytes_max=0)
