"""Instants as protobuf timestamps."""

from datetime import UTC, datetime

from billing_server.edge.grpc.timestamps import timestamp_from_instant


def test_an_instant_is_kept_to_the_microsecond() -> None:
    instant = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    found = timestamp_from_instant(instant)
    assert found.nanos == 123_456_000
    assert found.ToDatetime(tzinfo=UTC) == instant
