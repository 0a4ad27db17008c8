"""Details written by hand are those that a server writes."""

from google.rpc import error_details_pb2, status_pb2

from metering.client.quota_transport import reason_from_details
from metering.testing.status_details import details_of_reason


def test_the_details_are_those_of_google_rpc() -> None:
    reason = "RESERVATION_ENDED" * 20  # Longer than one byte of length can say.
    raw = details_of_reason(reason)
    [packed] = status_pb2.Status.FromString(raw).details
    info = error_details_pb2.ErrorInfo()
    assert packed.Unpack(info)
    assert info.reason == reason
    assert reason_from_details(raw) == reason
