"""The books of a run: what really happened, whatever a design believes."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.bench.quota.calls import Call

RECONNECT_SECONDS: Final = 5.0
"""So long behind a cut or a kill a host counts as coming back, not as connected."""
FREE_SHARE: Final = 50
"""One part in fifty: 2 % of the limit."""
CONNECTED: Final = "connected"
COMING_BACK: Final = "coming back"
CUT_OFF: Final = "cut off"


@dataclass
class Outcome:
    """What one run came to, in tokens and calls."""

    limit: int
    largest: int
    offered: int = 0
    calls: int = 0
    used: int = 0
    known: int = 0
    left: int = 0
    """Of the limit, once every host was connected again and asked down to a single token."""
    refused: Counter[str] = field(default_factory=Counter)
    """False refusals by the host's state."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the false refusals at connected hosts."""
    notes: list[str] = field(default_factory=list)
    """One line for each of them."""
    faults: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    """Seconds until a call was answered at a connected host, while more than 2 % was free."""
    busy_seconds: float = 0.0
    """Of the machine's processors, while more than 2 % was free."""
    free_seconds: float = 0.0
    """How long that was, times the number of processors."""

    @property
    def overspend(self) -> int:
        """Use beyond the limit."""
        return max(0, self.used - self.limit)

    @property
    def false_share(self) -> float:
        """False refusals at connected hosts, of all calls."""
        return self.refused[CONNECTED] / max(self.calls, 1)

    @property
    def busy_share(self) -> float:
        """Of the machine, while more than 2 % was free."""
        return self.busy_seconds / max(self.free_seconds, 1e-9)

    def wait_at(self, share: float) -> float:
        """Returns a quantile of the waits, seconds."""
        ordered = sorted(self.waits) or [0.0]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Look:
    """How things stood when a caller looked."""

    state: str
    """Of its host."""
    free: int
    """Certainly free for connected hosts, tokens."""
    at: float
    """Monotonic clock, seconds."""


class Books:
    """What really happened. Any thread writes."""

    def __init__(self, outcome: Outcome, *, host_count: int) -> None:
        self.outcome = outcome
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._held = [0] * host_count
        self._used = [0] * host_count
        self._leased: Mapping[int, int] = {}
        self._cut_off: set[int] = set()
        self._back_time = [-RECONNECT_SECONDS] * host_count

    def cut_off(self, host: int, *, fault: str) -> None:
        """Notes that a host lost its server, or itself."""
        with self._lock:
            self._cut_off.add(host)
            self.outcome.faults[fault] += 1

    def is_cut_off(self, host: int) -> bool:
        """Tells whether a host has no server now."""
        with self._lock:
            return host in self._cut_off

    def mended(self, host: int) -> None:
        """Notes that nothing stands between a host and the server any more."""
        with self._lock:
            self._back_time[host] = time.monotonic()
            self._cut_off.discard(host)

    def leased(self, amounts: Mapping[int, int]) -> None:
        """Notes what each host was granted and has not given back, as last known."""
        with self._lock:
            self._leased = dict(amounts)

    def look(self, host: int) -> Look:
        """Returns how things stand for a host."""
        with self._lock:
            return Look(self._state_of(host), self._free(), time.monotonic())

    def begun(self, host: int, *, before: Look, held: int) -> None:
        """Notes that a call was granted and begins."""
        with self._lock:
            self._held[host] += held
            self._waited(before)

    def ended(self, host: int, *, held: int, used: int) -> None:
        """Notes that a call is over."""
        with self._lock:
            self._held[host] -= held
            self._used[host] += used
            self.outcome.used += used

    def answered(self, host: int, *, call: Call, before: Look, reason: str | None) -> None:
        """Notes a call that is over or was refused, and judges the refusal."""
        after = self.look(host)
        outcome = self.outcome
        with self._lock:
            outcome.calls += 1
            outcome.offered += call.reserved
            if reason is None:
                return
            self._waited(before)
            free = min(before.free, after.free)
            if free <= outcome.limit // FREE_SHARE + call.reserved:
                return
            state = before.state if before.state == after.state else COMING_BACK
            outcome.refused[state] += 1
            if state == CONNECTED:
                outcome.reasons[reason] += 1
                outcome.notes.append(
                    f"{before.at - self._started:6.2f} s  host {host}  {reason} after "
                    f"{after.at - before.at:.2f} s  {call.reserved} asked, "
                    f"{free / outcome.limit:.1%} of the limit free"
                )

    def passed(self, *, busy_seconds: float, seconds: float) -> None:
        """Notes what the processors did meanwhile, while there was something to refuse falsely."""
        with self._lock:
            if self._free() > self.outcome.limit // FREE_SHARE:
                self.outcome.busy_seconds += busy_seconds
                self.outcome.free_seconds += seconds

    def _waited(self, before: Look) -> None:
        if before.state == CONNECTED and before.free > self.outcome.limit // FREE_SHARE:
            self.outcome.waits.append(time.monotonic() - before.at)

    def _state_of(self, host: int) -> str:
        if host in self._cut_off:
            return CUT_OFF
        is_back = time.monotonic() - self._back_time[host] > RECONNECT_SECONDS
        return CONNECTED if is_back else COMING_BACK

    def _free(self) -> int:
        """Returns what is certainly free for connected hosts."""
        stranded = sum(
            max(0, amount - self._used[host] - self._held[host])
            for host, amount in self._leased.items()
            if self._state_of(host) != CONNECTED
        )
        return self.outcome.limit - self.outcome.used - sum(self._held) - stranded
