"""The clock of leases: time since the machine's boot, sleep included, which nobody sets."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NS_PER_US: Final = 1_000


class LeaseClock(Protocol):
    """Tells the time that leases and reservations are counted by."""

    @property
    def boot_id(self) -> str:
        """Names the boot that the time counts from."""
        ...

    def now_us(self) -> int:
        """Returns the time since then in microseconds."""
        ...

    def wall_us(self) -> int:
        """Returns the wall clock in microseconds since 1970 UTC: for people only."""
        ...


@dataclass(frozen=True, slots=True)
class BootClock:
    """The clock of this machine."""

    boot_id: str
    """Names the boot; empty where the system does not say: a restart then starts holds anew."""

    @classmethod
    def of_this_machine(cls) -> "BootClock":
        """Reads which boot this is."""
        try:
            return cls(_BOOT_ID.read_text(encoding="ascii").strip())
        except OSError:
            return cls("")

    def now_us(self) -> int:
        """Returns the time since the boot in microseconds."""
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime_ns(clock) // _NS_PER_US

    def wall_us(self) -> int:
        """Returns the wall clock in microseconds since 1970 UTC."""
        return time.time_ns() // _NS_PER_US
