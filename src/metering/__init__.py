"""Usage metering and billing: the SDK, and the ground that agent and server share.

Names are imported when they are first used, so that the pure parts stay free of gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metering.client import AsyncMeter, Meter, MeterOptions, MeterStats
    from metering.errors import FieldViolation, MeteringError, ValidationError

_HOMES = {
    "AsyncMeter": "metering.client",
    "FieldViolation": "metering.errors",
    "Meter": "metering.client",
    "MeterOptions": "metering.client",
    "MeterStats": "metering.client",
    "MeteringError": "metering.errors",
    "ValidationError": "metering.errors",
}

__all__ = [
    "AsyncMeter",
    "FieldViolation",
    "Meter",
    "MeterOptions",
    "MeterStats",
    "MeteringError",
    "ValidationError",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
