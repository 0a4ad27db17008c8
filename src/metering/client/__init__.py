"""The SDK: what an inference service calls to meter its usage. Needs grpcio and protobuf only."""

from metering.client.async_meter import AsyncMeter
from metering.client.meter import Meter
from metering.client.options import MeterOptions
from metering.client.stats import MeterStats

__all__ = ["AsyncMeter", "Meter", "MeterOptions", "MeterStats"]
