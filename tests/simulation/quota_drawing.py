"""What a seed draws of a simulated fleet under limits, and what is told of it."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from metering.limits import OfflinePolicy, SilencePolicy
from tests.simulation.fleet_world import Weather, weather

FAULT_SECONDS = 45.0
LATE_SECONDS = 12.0
QUARANTINE = timedelta(seconds=50)
KINDS = (
    "agent crash",
    "host rebooted",
    "agent paused",
    "slow fsync",
    "disk full",
    "one-way partition",
    "server crash",
    "clock step",
    "limit changed",
)
WORST = ("disk rolled back", "live clone", "disk lost", "server restored", "restored unnoticed")
"""What goes back or is copied happens alone in a world: the bound allows for each by itself."""
WINDOWS = (WindowUnit.LIFETIME, WindowUnit.HOUR, WindowUnit.DAY, WindowUnit.BILLING_PERIOD)
STARTS = (
    # Hour, day, month and billing period end within the faults, or nothing does.
    datetime(2026, 3, 31, 23, 59, 38, tzinfo=UTC),
    datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC),
)


@dataclass
class QuotaResult:
    """What happened in a world, or in many."""

    worlds: int = 0
    steps: int = 0
    events: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "QuotaResult") -> None:
        """Adds the figures of another result."""
        self.worlds += other.worlds
        self.steps += other.steps
        self.events += other.events
        self.answers.update(other.answers)
        self.faults.update(other.faults)

    def counts(self) -> dict[str, int]:
        """Returns the figures, by what they count."""
        first = {"worlds": self.worlds, "steps": self.steps, "events": self.events}
        return first | dict(sorted(self.answers.items())) | dict(sorted(self.faults.items()))


def drawn_limits(source: random.Random) -> list[Limit]:
    """Draws the limits of a customer."""
    reclaims = source.random() < 0.3
    allows = source.random() < 0.25
    limit = Limit(
        key="units",
        subject=LimitSubject.METER,
        meter="input_tokens",
        maximum=Decimal(source.randint(20, 200)),
        window=LimitWindow(source.choice(WINDOWS)),
        unconfirmed=SilencePolicy.RECLAIM if reclaims else SilencePolicy.HOLD,
        reclaim_max=Decimal(source.randint(1, 40)) if reclaims else Decimal(0),
        when_offline=OfflinePolicy.ALLOWANCE if allows else OfflinePolicy.CLOSED,
        allowance=Decimal(10) if allows else Decimal(0),
    )
    limits = [limit]
    if source.random() < 0.3:
        second = replace(limit, key="second", window=LimitWindow(source.choice(WINDOWS)))
        limits.append(replace(second, maximum=Decimal(source.randint(20, 200))))
    if source.random() < 0.15:
        window = LimitWindow(WindowUnit.MINUTE)
        most = Decimal(source.randint(60, 300))
        limits.append(
            Limit(
                key="rate",
                subject=LimitSubject.METER,
                meter="input_tokens",
                maximum=most,
                window=window,
                burst=Decimal(source.randint(20, 60)),
            )
        )
    if source.random() < 0.15:
        slots = Decimal(source.randint(1, 4))
        held = timedelta(seconds=40)
        subject = LimitSubject.CONCURRENCY
        limits.append(Limit(key="slots", subject=subject, maximum=slots, max_hold=held))
    return limits


def drawn_weather(source: random.Random) -> Weather:
    """Draws how bad a world is."""
    drawn = weather(source)
    kinds = tuple(kind for kind in KINDS if source.random() < 0.6)
    return replace(drawn, kinds=kinds, crash_at_commit=drawn.crash_at_commit / 5)
