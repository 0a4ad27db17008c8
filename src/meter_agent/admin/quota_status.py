"""The part of a status that tells of limits, leases and reservations."""

from datetime import datetime
from typing import Final

from meter_agent.quota.view import LimitView, QuotaView
from meter_agent.uplink.lease_state import LeaseFigures
from metering.api.v1.agent_pb2 import (
    CustomerLimitStatus,
    GetAgentStatusResponse,
    LimitStatus,
)
from metering.quantity import plain_decimal, unscale_quantity

LIMIT_COUNT_MAX: Final = 1_000
"""Limit keys of one status."""


def complete_quota(
    status: GetAgentStatusResponse, view: QuotaView, *, leases: LeaseFigures
) -> None:
    """Sets the fields of a status that tell of quota.

    Args:
        status: To be completed.
        view: Quota now.
        leases: The lease side of the uplink.
    """
    status.limits.extend(_limit(item) for item in view.limits[:LIMIT_COUNT_MAX])
    status.lease_count = view.lease_count
    status.held_reservation_count = view.held_count
    status.expired_reservation_count = view.expired_count
    status.unsettled_reservation_count = view.unsettled_count
    _set_time(status, "last_lease_sync_time", leases.last_sync_time)
    _set_time(status, "leases_offline_since_time", leases.offline_since)


def _limit(item: LimitView) -> LimitStatus:
    def amount(value: int) -> str:
        return plain_decimal(unscale_quantity(value, decimals=item.decimals))

    return LimitStatus(
        limit_key=item.limit_key,
        customer_count=item.customer_count,
        granted=amount(item.granted),
        consumed=amount(item.consumed),
        held=amount(item.held),
        granted_offline=amount(item.granted_offline),
        refused_count=item.refused_count,
        exceeded_count=item.exceeded_count,
        when_offline=item.when_offline,
        enforcement=item.enforcement,
        uncovered=amount(item.uncovered),
        overrun=amount(item.overrun),
        unit=item.unit,
        busiest=(
            CustomerLimitStatus(
                customer_id=share.customer_id,
                granted=amount(share.granted),
                consumed=amount(share.consumed),
                held=amount(share.held),
            )
            for share in item.busiest
        ),
    )


def _set_time(status: GetAgentStatusResponse, name: str, instant: datetime | None) -> None:
    if instant is not None:
        getattr(status, name).FromDatetime(instant)
