"""Quota in the status: amounts as decimals in their unit, times where there are any."""

from datetime import UTC, datetime

from meter_agent.admin.quota_status import LIMIT_COUNT_MAX, complete_quota
from meter_agent.quota.view import CustomerShare, LimitView, QuotaView
from meter_agent.uplink.lease_state import LeaseFigures
from metering.api.v1.agent_pb2 import GetAgentStatusResponse

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def test_amounts_are_in_the_unit_of_their_limit() -> None:
    limit = LimitView(
        limit_key="spend",
        unit="USD",
        decimals=6,
        granted=1_500_000,
        enforcement="hard",
        refused_count=2,
        busiest=(CustomerShare(customer_id="acme", granted=1_500_000, consumed=250_000, held=1),),
    )
    status = GetAgentStatusResponse()
    view = QuotaView(
        limits=(limit,), lease_count=1, held_count=2, expired_count=3, unsettled_count=4
    )
    complete_quota(status, view, leases=LeaseFigures(last_sync_time=NOW))
    [found] = status.limits
    assert (found.limit_key, found.granted, found.consumed, found.refused_count) == (
        "spend",
        "1.5",
        "0",
        2,
    )
    [share] = found.busiest
    assert (found.unit, share.customer_id, share.granted) == ("USD", "acme", "1.5")
    assert (share.consumed, share.held) == ("0.25", "0.000001")
    assert (status.lease_count, status.held_reservation_count) == (1, 2)
    assert (status.expired_reservation_count, status.unsettled_reservation_count) == (3, 4)
    assert status.last_lease_sync_time.ToDatetime(tzinfo=UTC) == NOW
    assert not status.HasField("leases_offline_since_time")


def test_the_list_of_limits_is_bounded() -> None:
    limits = tuple(LimitView(limit_key=f"l-{n:05}") for n in range(LIMIT_COUNT_MAX + 5))
    status = GetAgentStatusResponse()
    complete_quota(status, QuotaView(limits=limits), leases=LeaseFigures(offline_since=NOW))
    assert len(status.limits) == LIMIT_COUNT_MAX
    assert status.HasField("leases_offline_since_time")
