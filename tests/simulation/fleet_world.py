"""Virtual time, a network that does all a network may do, and the seed's choice of faults."""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from billing_server.domain.session.pushing import decide_push
from meter_agent.core import positions as core
from meter_agent.core.positions import Positions
from tests.simulation.fleet_truth import Event, Truth, Violation

FAULT_SECONDS = 60.0
"""How long things go wrong; afterwards nothing does any more."""
HEAL_SECONDS = 400.0
"""Within which every backlog must have drained: some back-offs of at most 60 s."""
STEPS_MAX = 200_000
"""More of them mean that the fleet turns in circles."""

Action = Callable[[], None]


@dataclass(frozen=True)
class Rules:
    """The decisions under test, each replaceable by a mutant."""

    session_opened: Callable[..., Positions] = core.session_opened
    identity_taken: Callable[..., Positions] = core.identity_taken
    push_answered: Callable[..., Positions] = core.push_answered
    deletable_seq: Callable[[Positions, int], int] = lambda state, sent_seq: state.deletable_seq
    decide_push: Callable[..., object] = decide_push
    looks_at_ids: bool = True
    acks_before_counting: bool = False
    marks_apart: bool = False
    answers_before_commit: bool = False
    beyond_the_limit: bool = False
    """Not a mutant: lets an unnoticed restore meet a live clone, or undo a noticed restore."""


@dataclass
class Weather:
    """How bad this world is: drawn once from its seed."""

    drop: float
    double: float
    delay: float
    crash_at_commit: float
    server_crash: float
    kept_events: int
    """Applied events that a disk keeps."""
    page_events: int
    part_events: int
    kinds: tuple[str, ...]
    """Faults at a point of time that happen here."""


KINDS = (
    "agent crash",
    "agent paused",
    "slow fsync",
    "disk full",
    "disk rolled back",
    "live clone",
    "disk lost",
    "one-way partition",
    "server crash",
    "server restored",
    "server restored unnoticed",
    "clock step",
)


def weather(source: random.Random) -> Weather:
    """Draws how bad a world is; each kind of fault is absent from half of the worlds."""
    return Weather(
        drop=source.choice((0.0, 0.02, 0.1, 0.3)),
        double=source.choice((0.0, 0.05, 0.3)),
        delay=source.choice((0.0, 0.05, 0.3)),
        crash_at_commit=source.choice((0.0, 0.0, 0.01, 0.05)),
        server_crash=source.choice((0.0, 0.0, 0.01, 0.05)),
        kept_events=source.choice((0, 0, 10, 1_000)),
        page_events=source.choice((1, 3, 8, 50)),
        part_events=source.choice((1, 2, 5, 50)),
        kinds=tuple(kind for kind in KINDS if source.random() < 0.5),
    )


@dataclass
class World:
    """Time, chance and network of one seed."""

    source: random.Random
    rules: Rules
    weather: Weather
    truth: Truth = field(default_factory=Truth)
    now: float = 0.0
    is_healed: bool = False
    _serial: int = 0
    _heap: list[tuple[float, int, Action]] = field(default_factory=list)
    _blocked: dict[tuple[str, str], float] = field(default_factory=dict)

    def after(self, seconds: float, action: Action) -> None:
        """Plans a step; steps of one moment keep their order."""
        self._serial += 1
        heapq.heappush(self._heap, (self.now + seconds, self._serial, action))

    def run(self, until: float) -> None:
        """Does every step that is due by then.

        Raises:
            Violation: A promise was broken.
        """
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            self.truth.steps += 1
            if self.truth.steps > STEPS_MAX:
                raise Violation("the fleet turns in circles")
            action()
        self.now = until

    def happens(self, chance: float, fault: str) -> bool:
        """Draws whether a fault happens here and counts it."""
        if self.is_healed or not chance or self.source.random() >= chance:
            return False
        self.truth.faults[fault] += 1
        return True

    def fresh_bytes(self) -> bytes:
        """Returns 16 bytes that were never used."""
        return self.source.randbytes(16)

    def block(self, sender: str, receiver: str, *, seconds: float) -> None:
        """Swallows what one side sends to the other for a while."""
        self._blocked[sender, receiver] = self.now + seconds

    def heal(self) -> None:
        """Ends what goes wrong on the way."""
        self.is_healed = True
        self._blocked.clear()

    def send(
        self, sender: str, receiver: str, action: Action, *, events: tuple[Event, ...] = ()
    ) -> None:
        """Carries a message: once, not at all, twice, late, or after one that was sent later."""
        if self._blocked.get((sender, receiver), 0.0) > self.now:
            self.truth.faults["message swallowed by a partition"] += 1
            return
        if self.happens(self.weather.drop, "message dropped"):
            return
        for seconds in self._travels():
            self.truth.sent(events, until=self.now + seconds + 2.0)
            self.after(seconds, action)

    def _travels(self) -> Iterator[float]:
        copies = 1 + self.happens(self.weather.double, "message doubled")
        for _ in range(copies):
            seconds = 0.001 + self.source.random() * 0.02
            if self.happens(self.weather.delay, "message delayed or overtaken"):
                seconds += self.source.random() * self.source.choice((0.5, 45.0))
            yield seconds
