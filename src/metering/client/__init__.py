"""The SDK: what an inference service calls to meter its usage. Needs grpcio and protobuf only."""

from metering.client.async_meter import AsyncMeter
from metering.client.async_reservation import AsyncReservation
from metering.client.meter import Meter
from metering.client.options import MeterOptions
from metering.client.quota import OnAgentUnavailable, QuotaDenied
from metering.client.reservation import Reservation
from metering.client.stats import MeterStats

__all__ = [
    "AsyncMeter",
    "AsyncReservation",
    "Meter",
    "MeterOptions",
    "MeterStats",
    "OnAgentUnavailable",
    "QuotaDenied",
    "Reservation",
]
