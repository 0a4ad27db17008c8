"""What the lease side of the uplink shares: the last answered number, and how the server stands."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.sync import SyncMark
from meter_agent.quota import news
from meter_agent.quota.mapping import counters_to_proto
from meter_agent.quota.news import Adoption, Heard
from meter_agent.quota.reserving import Counter
from metering.api.v1 import lease_pb2
from metering.clock import Clock

LEASE_COUNT_MAX: Final = 10_000
"""Leases of one message."""
CUSTOMERS_NAMED_MAX: Final = 1_000
"""Customers of one sync."""
AWAY_AFTER: Final = 2
"""Calls in a row without an answer after which the server counts as away. One alone is a busy
server, or a connection that something on the way has forgotten."""

Key = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class LeaseFigures:
    """The lease side since the process started, at one moment."""

    sync_count: int = 0
    """Syncs answered, >= 0."""
    ask_count: int = 0
    """Calls of AcquireLease answered, >= 0."""
    failure_count: int = 0
    """Calls that failed, >= 0."""
    last_sync_time: datetime | None = None
    """When a sync was answered last; None: never."""
    offline_since: datetime | None = None
    """Since when no call was answered; None where the last one was."""


class LeaseState:
    """Kept by the threads of the lease side and by the shipper, who opens sessions.

    Args:
        counter: What is known of quota.
        clock: Of the host.
    """

    def __init__(self, counter: Counter, *, clock: Clock) -> None:
        self.counter: Final = counter
        self.clock: Final = clock
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self.mark: SyncMark | None = None
        """The last answered sync or session of this process; None before the first."""
        self.terms_revision = 0
        """Highest revision of terms that was heard in this session."""
        self.answered_counters: dict[Key, bytes] = {}
        """Counters of each lease as the server heard them last, serialized."""
        self.unnamed: tuple[str, ...] = ()
        """Customers whose terms are known here and that this session has not named yet: the server
        may have forgotten, or never known, that this disk is to be told of their changes."""
        self.sync_count = self.ask_count = self.failure_count = 0
        self.last_sync_time: datetime | None = None
        self._offline_since: datetime | None = None
        self._last_failure_seconds = self._offline_since_seconds = 0.0
        self._failures_in_row = 0

    # For the shipper, who opens sessions.

    def now_us(self) -> int:
        """Returns the time by the clock of leases."""
        return self.counter.book.clock.now_us()

    def counters(self) -> list[lease_pb2.LeaseCounters]:
        """Returns the counters of every lease on record, closed ones too."""
        return [counters_to_proto(lease) for lease in self.shared_leases()][:LEASE_COUNT_MAX]

    def session_opened(
        self,
        leases: Iterable[lease_pb2.LeaseCounters] | None,
        *,
        sent_at_us: int,
        applied_seq: int,
    ) -> None:
        """Takes in what an OpenSession answered; in the writer's thread, with the positions.

        Args:
            leases: As answered; None where the disk has to take another id first.
            sent_at_us: Clock of leases when it was sent.
            applied_seq: Position on disk that was applied by then.
        """
        if leases is None:
            self.given_up()
            return
        heard = Heard(sent_at_us, applied_seq)
        news.adopt(leases, (), heard=heard, adoption=Adoption.ANY, counter=self.counter)

    def given_up(self) -> None:
        """Gives up all leases; in the writer's thread, with the positions."""
        news.give_up_all(self.counter)

    def session_is_open(self, mark: SyncMark) -> None:
        """Notes that a session is open, durably."""
        with self._lock:
            self.mark = mark
            self.terms_revision = 0
            self.answered_counters = {}
            self.unnamed = tuple(terms.customer_id for terms in self.counter.book.all_terms())
        self.answered()
        self._opened.set()

    # For the threads of the lease side.

    def shared_leases(self) -> list[Lease]:
        """Returns the leases that the server knows of."""
        return [
            lease for lease in self.counter.book.all_leases() if lease.lease_id != OFFLINE_LEASE_ID
        ]

    def is_told(self, lease: Lease) -> bool:
        """Tells whether a sync of this session has told the server of a lease as it is now."""
        told = self.answered_counters.get(key_of(lease))
        return told == counters_to_proto(lease).SerializeToString()

    def named(self, customer_ids: frozenset[str]) -> None:
        """Notes customers that the server was told this disk knows limits of."""
        if customer_ids:
            self.unnamed = tuple(name for name in self.unnamed if name not in customer_ids)

    def drop_gone(self) -> None:
        """Forgets what was told of leases that are not on record any more."""
        known = {key_of(lease) for lease in self.shared_leases()}
        if len(known) < len(self.answered_counters):
            self.answered_counters = {
                key: told for key, told in self.answered_counters.items() if key in known
            }

    def wait_for_session(self, timeout_seconds: float) -> bool:
        """Waits for the first session of this process; False where there was none in time."""
        return self._opened.wait(timeout_seconds)

    @property
    def is_away(self) -> bool:
        """Whether the last calls were not answered."""
        return self._failures_in_row >= AWAY_AFTER

    @property
    def seconds_since_failure(self) -> float:
        """How long ago a call failed last, seconds."""
        return self.clock.monotonic() - self._last_failure_seconds

    @property
    def offline_seconds(self) -> float:
        """How long no call was answered by now; 0 where the last one was."""
        if self._offline_since is None:
            return 0.0
        return max(0.0, self.clock.monotonic() - self._offline_since_seconds)

    def answered(self) -> None:
        """Notes that the server answered."""
        self._failures_in_row = 0
        self._offline_since = None

    def failed(self) -> None:
        """Notes that it did not."""
        self.failure_count += 1
        self._failures_in_row += 1
        self._last_failure_seconds = self.clock.monotonic()
        if self._offline_since is None:
            self._offline_since_seconds = self._last_failure_seconds
            self._offline_since = self.clock.now()

    @property
    def figures(self) -> LeaseFigures:
        """The figures now."""
        return LeaseFigures(
            self.sync_count,
            self.ask_count,
            self.failure_count,
            self.last_sync_time,
            self._offline_since,
        )


def key_of(lease: Lease) -> Key:
    """Returns what names a lease."""
    return (lease.customer_id, lease.limit_key, lease.lease_id)
