"""An agent's disk in a simulated fleet, and the one writer in front of it.

The order of steps is that of `meter_agent.store.writer`: whatever is queued is committed together
as soon as the last commit has ended. A crash may come before or after each commit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from meter_agent.core import positions as core
from meter_agent.core.positions import Positions
from meter_agent.store.border import Border
from tests.simulation.fleet_truth import Event, Violation
from tests.simulation.fleet_world import Action, World

FSYNC_SECONDS = 0.002
MAY_CHANGE_IDENTITY = (
    "disk rolled back",
    "live clone",
    "server restored",
    "server restored unnoticed",
)


@dataclass
class Disk:
    """What is durable at an agent."""

    positions: Positions
    rows: tuple[Event, ...] = ()
    """Numbered from `earliest_kept_seq`."""

    def copy(self) -> "Disk":
        """Returns a snapshot."""
        return Disk(self.positions, self.rows)


@dataclass
class Work:
    """What waits for a commit."""

    done: Action
    failed: Action
    events: tuple[Event, ...] = ()
    change: Callable[[Positions], Positions] | None = None


@dataclass
class Writer:
    """Commits what is queued; lives as long as its process.

    Args:
        world: Time and chance.
        disk: What it writes to.
        later: Plans a step of this process.
        crash: Ends this process.
        on_commit: Called after each commit with what was trimmed.
    """

    world: World
    disk: Disk
    later: Callable[[float, Action], None]
    crash: Action
    on_trim: Callable[[tuple[Event, ...]], None]
    is_slow: bool = False
    is_full: bool = False
    sent_seq: int = 0
    """Last position that was sent, for a mutant."""
    accepted_count: int = 0
    border: Border = field(init=False)
    _queue: list[Work] = field(default_factory=list)
    _is_committing: bool = False

    def __post_init__(self) -> None:
        self.border = Border(0, self.disk.positions)

    def add(self, work: Work) -> None:
        """Queues work for the next commit."""
        self._queue.append(work)
        self._begin()

    def _begin(self) -> None:
        if self._is_committing or not self._queue:
            return
        group, self._queue = self._queue, []
        self._is_committing = True
        seconds = FSYNC_SECONDS * (0.5 + self.world.source.random())
        if self.is_slow and not self.world.is_healed:
            seconds = self.world.source.random() * 8.0
        self.later(seconds, lambda: self._commit(group))

    def _commit(self, group: list[Work]) -> None:
        world = self.world
        if world.happens(world.weather.crash_at_commit, "agent crash before a commit"):
            self.crash()
            return
        is_failed = self.is_full and not world.is_healed
        is_failed = is_failed and (
            any(each.events for each in group) or world.source.random() < 0.5
        )
        if is_failed:
            world.truth.faults["commit refused by a full disk"] += 1
        else:
            self._write(group)
            if world.happens(world.weather.crash_at_commit, "agent crash after a commit"):
                self.crash()
                return
        self._is_committing = False
        for work in group:
            (work.failed if is_failed else work.done)()
        self._begin()

    def _write(self, group: list[Work]) -> None:
        disk, truth = self.disk, self.world.truth
        before = positions = disk.positions
        for work in group:
            if work.events:
                positions = core.appended(positions, event_count=len(work.events))
                disk.rows += work.events
                truth.recorded(work.events)
                self.accepted_count += len(work.events)
        for work in group:
            if work.change is not None:
                positions = work.change(positions)
        disk.positions = positions
        if positions.disk_id != before.disk_id and not any(
            truth.faults[name] for name in MAY_CHANGE_IDENTITY
        ):
            raise Violation("an identity was given up without need")
        self.border = Border(self.accepted_count, positions)
        if any(work.change for work in group):
            self._trim()

    def _trim(self) -> None:
        positions, rules = self.disk.positions, self.world.rules
        seq = rules.deletable_seq(positions, self.sent_seq) - self.world.weather.kept_events
        count = min(seq, positions.next_seq - 1) + 1 - positions.earliest_kept_seq
        if count <= 0:
            return
        gone, self.disk.rows = self.disk.rows[:count], self.disk.rows[count:]
        earliest = positions.earliest_kept_seq + count
        self.disk.positions = core.deleted(positions, earliest_kept_seq=earliest)
        self.on_trim(gone)
