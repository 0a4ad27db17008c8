"""What every use case is handed: storage, time, randomness and the settings that change money."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, RLock

from billing_server.domain.ports.unit_of_work import Store
from metering.clock import Clock, ManualClock, SystemClock
from metering.ids import prefixed_id

GRACE_DEFAULT = timedelta(hours=1)
PAYMENT_TERMS_DEFAULT = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class BillingSettings:
    """Settings of the deployment that change what is invoiced, or when."""

    grace: timedelta = GRACE_DEFAULT
    """How long after a period's end its invoice waits for late usage (R75). >= 0."""
    payment_terms: timedelta = PAYMENT_TERMS_DEFAULT
    """How long after its issue an invoice is due. >= 0."""


@dataclass(frozen=True, slots=True)
class DueFailure:
    """A piece of due work that failed."""

    work: str
    """`start`: a start invoice; `period`: closing a period."""
    subscription_id: str
    """Whose."""
    due_time: datetime
    """The subscription's start, or the end of its period, UTC."""
    error: Exception
    """Why."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The world of the use cases; `simulate` hands in another one than the server."""

    store: Store
    """Opens transactions."""
    clock: Clock
    """Tells the time of everything that is billed; a ManualClock on a test database."""
    random_bytes: Callable[[int], bytes]
    """Source of ids and keys: the operating system, or a seeded one in simulations."""
    settings: BillingSettings = field(default_factory=BillingSettings)
    """Settings that change money."""
    wall_clock: Clock = field(default_factory=SystemClock)
    """Tells the real time, for what callers wait for: a test clock may stand still."""
    on_due_failure: Callable[[DueFailure], None] = lambda _: None
    """Told of due work that failed, after it was logged; may raise where no one reads a log."""
    work_gate: RLock = field(default_factory=RLock)
    """Held while due work runs: the clock does not move under it."""
    work_added: Event = field(default_factory=Event)
    """Set where work was left to the scheduler, which then does not wait for its next look."""

    def new_id(self, prefix: str) -> str:
        """Return a new id such as `inv_…`."""
        return prefixed_id(prefix, self.random_bytes)

    @property
    def test_clock(self) -> ManualClock | None:
        """Return the clock that may be moved; None on real time."""
        return self.clock if isinstance(self.clock, ManualClock) else None
