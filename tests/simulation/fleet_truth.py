"""What only an onlooker knows of a simulated fleet, and what must hold in it."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Violation(AssertionError):
    """A promise was broken."""


class Event(NamedTuple):
    """One use, as its caller knows it; the id is unique for its customer only."""

    customer: str
    event_id: str
    quantity: int
    event_time: float | None
    """Seconds of true time; None: the agent's clock at receipt serves."""


class Truth:
    """Follows every event from outside: who answered for it, and where copies of it are left."""

    def __init__(self) -> None:
        self.attempted: dict[Event, None] = {}
        self.answered: dict[Event, None] = {}
        self.gone: dict[Event, str] = {}
        """Answered, and no copy was left anywhere: why."""
        self.perhaps: dict[Event, None] = {}
        """Answered, and the only copy was on its way to the server."""
        self.declared_count = 0
        self.faults: Counter[str] = Counter()
        self.steps = 0
        self._in_flight: list[tuple[float, tuple[Event, ...]]] = []

    def sent(self, events: tuple[Event, ...], *, until: float) -> None:
        """Notes copies that are on their way, until they have surely arrived."""
        if events:
            self._in_flight.append((until, events))

    def recorded(self, events: Iterable[Event]) -> None:
        """Notes that a disk holds these events, perhaps once more."""
        for event in events:
            self.gone.pop(event, None)
            self.perhaps.pop(event, None)

    def copies_lost(
        self, suspects: Iterable[Event], *, left: set[Event], cause: str, now: float
    ) -> None:
        """Notes which answered events have no copy left after a fault.

        Args:
            suspects: Events of which a copy was just lost.
            left: Events on any disk or counted by the server.
            cause: What was lost: "disk" or "server".
            now: Seconds of true time.
        """
        self._in_flight = [each for each in self._in_flight if each[0] >= now]
        flying = {event for _, events in self._in_flight for event in events}
        for event in suspects:
            if event not in self.answered or event in left or event in self.gone:
                continue
            if event in flying:
                self.perhaps[event] = None
            else:
                self.gone[event] = cause

    def judge(self, *, counted: set[Event], totals: dict[str, int]) -> None:
        """Compares what the server has counted in the end with what it must have.

        Raises:
            Violation: They differ.
        """
        expected: Counter[str] = Counter()
        for event in counted:
            expected[event.customer] += event.quantity
        wrong = {name: (totals.get(name, 0), expected[name]) for name in {*totals, *expected}}
        wrong = {name: both for name, both in sorted(wrong.items()) if both[0] != both[1]}
        if wrong:
            raise Violation(f"totals are not those of each event once (counted, expected): {wrong}")
        if strange := counted - self.attempted.keys():
            raise Violation(f"counted, and nobody sent them: {sorted(strange, key=repr)}")
        missing = [event for event in self.answered if event not in counted]
        if lost := [each for each in missing if each not in self.gone | self.perhaps]:
            raise Violation(f"answered OK, a copy survived, not counted: {lost}")
        if back := [event for event in self.gone if event in counted]:
            raise Violation(f"known as lost, and counted all the same: {back}")
        self._judge_declared([each for each in missing if self.gone.get(each) == "server"])

    def _judge_declared(self, missing: list[Event]) -> None:
        """Holds the losses that agents declared against those that there were."""
        if any(self.faults[name] for name in ("disk rolled back", "live clone", "disk lost")):
            return  # A disk that forgot cannot declare.
        if len(missing) > self.declared_count:
            raise Violation(f"{len(missing)} events are lost, {self.declared_count} declared")
        restores = self.faults["server restored"] + self.faults["server restored unnoticed"]
        if self.declared_count and not restores:
            raise Violation(f"{self.declared_count} events were declared lost without a loss")
