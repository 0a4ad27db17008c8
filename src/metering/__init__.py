"""Usage metering and billing: the SDK, and the ground that agent and server share.

Names are imported when they are first used, so that the pure parts stay free of gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.client import (
        AsyncMeter,
        AsyncReservation,
        Meter,
        MeterOptions,
        MeterStats,
        OnAgentUnavailable,
        QuotaDenied,
        Reservation,
    )
    from metering.errors import FieldViolation, MeteringError, ValidationError

_HOMES = {
    "AsyncMeter": "metering.client",
    "AsyncReservation": "metering.client",
    "FieldViolation": "metering.errors",
    "Meter": "metering.client",
    "MeterOptions": "metering.client",
    "MeterStats": "metering.client",
    "MeteringError": "metering.errors",
    "OnAgentUnavailable": "metering.client",
    "QuotaDenied": "metering.client",
    "Reservation": "metering.client",
    "ValidationError": "metering.errors",
}

__all__ = [
    "AsyncMeter",
    "AsyncReservation",
    "FieldViolation",
    "Meter",
    "MeterOptions",
    "MeterStats",
    "MeteringError",
    "OnAgentUnavailable",
    "QuotaDenied",
    "Reservation",
    "ValidationError",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
