"""Messages about leases: bounds and defaults; the way over the wire is tested with the service."""

from collections.abc import Callable
from typing import Any

import pytest

from billing_server.domain.limit.in_force import LIMITED_UNITS_MAX
from billing_server.edge.grpc.lease_messages import (
    acquire_request_from_proto,
    lease_reports_from_proto,
    sync_request_from_proto,
)
from metering.api.v1 import lease_pb2
from metering.errors import ValidationError

LEASE = lease_pb2.LeaseCounters(lease_id=b"l" * 16, customer_id="acme", limit_key="daily")


def test_counters_beyond_every_bound_are_cut_and_negative_ones_are_nothing() -> None:
    lease = lease_pb2.LeaseCounters(lease_id=b"l" * 16, granted=2**63 - 1, returned=-5)
    (found,) = lease_reports_from_proto([lease])
    assert (found.report.granted, found.report.returned) == (LIMITED_UNITS_MAX, 0)


def test_of_a_lease_that_is_named_twice_the_last_report_counts() -> None:
    again = lease_pb2.LeaseCounters(lease_id=b"l" * 16, returned=7)
    (found,) = lease_reports_from_proto([LEASE, again])
    assert found.report.returned == 7


def test_without_a_least_anything_will_do() -> None:
    request = lease_pb2.AcquireLeaseRequest(leases=[LEASE])
    assert acquire_request_from_proto(request).wanted[0].least == 0


@pytest.mark.parametrize(
    ("read", "request_", "named"),
    [
        (
            acquire_request_from_proto,
            lease_pb2.AcquireLeaseRequest(leases=[LEASE], granted_min=[1, 2]),
            "granted_min",
        ),
        (
            acquire_request_from_proto,
            lease_pb2.AcquireLeaseRequest(customer_ids=["c"] * 1_001),
            "1000 leases or customers",
        ),
        (
            sync_request_from_proto,
            lease_pb2.SyncLeasesRequest(wants=[lease_pb2.LeaseWant()] * 10_001),
            "wants has 10001 entries",
        ),
    ],
)
def test_a_message_beyond_its_bounds_is_refused_by_name(
    read: Callable[[Any], object], request_: Any, named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        read(request_)
