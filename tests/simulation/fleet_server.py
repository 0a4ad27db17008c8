"""The server of a simulated fleet: the real decisions over a store that is a few dictionaries.

A push is applied in parts, each its own transaction, as the real service does it; a crash may come
before or after each of them. A store is copied for a backup and replaced for a restore.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from billing_server.domain.session.opening import (
    Opening,
    OpeningAction,
    Stream,
    advanced,
    decide_opening,
    opened_stream,
)
from billing_server.domain.session.pushing import PushState
from meter_agent.core.conservation import PushCounts
from meter_agent.core.positions import PushAnswer, PushOutcome, PushSent, SessionAnswer
from tests.simulation.fleet_truth import Event
from tests.simulation.fleet_world import World

OUTCOMES = {
    PushState.APPLIED: PushOutcome.APPLIED,
    PushState.FENCED: PushOutcome.FENCED,
    PushState.GAP: PushOutcome.GAP,
}
PART_SECONDS = 0.005
CUSTOMERS = ("acme", "globex", "initech")
TOKENS = ("token-0", "token-1", "token-2", "token-3")


class Push(NamedTuple):
    """A push on its way."""

    token: str
    disk_id: bytes
    sent: PushSent
    events: tuple[Event, ...]


class PushReply(NamedTuple):
    """The answer to a push, with what became of its events."""

    answer: PushAnswer
    counts: PushCounts


class TakenReply(NamedTuple):
    """IDENTITY_TAKEN."""


Reply = Callable[[SessionAnswer | PushReply | TakenReply], None]


@dataclass
class Store:
    """What is durable at the server."""

    incarnation: str = "i0"
    streams: dict[tuple[str, bytes], Stream] = field(default_factory=dict)
    main_disk: dict[str, bytes] = field(default_factory=dict)
    """Token to the disk that bears the agent's name."""
    ids: dict[tuple[str, str], Event] = field(default_factory=dict)
    """The unique key."""
    totals: Counter[str] = field(default_factory=Counter)
    """Customer to usage: what is billed."""

    def copy(self) -> "Store":
        """Returns what a backup holds."""
        return Store(
            self.incarnation,
            dict(self.streams),
            dict(self.main_disk),
            dict(self.ids),
            Counter(self.totals),
        )

    def count(self, events: tuple[Event, ...]) -> int:
        """Inserts ids and counts what is new, in one transaction; returns how many were."""
        count = 0
        for event in events:
            key = (event.customer, event.event_id)
            if key not in self.ids:
                self.ids[key] = event
                self.totals[event.customer] += event.quantity
                count += 1
        return count


class Server:
    """A process that may crash, over a store that may be replaced by its backup."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.store = Store()
        self._backups: list[Store] = []
        self._epoch = 0
        self._is_up = True
        self._incarnations = 1

    @property
    def incarnation(self) -> str:
        """Identity of the data."""
        return self.store.incarnation

    @property
    def counted(self) -> set[Event]:
        """Every event under a key."""
        return set(self.store.ids.values())

    @property
    def totals(self) -> dict[str, int]:
        """Usage counted for each customer."""
        return dict(self.store.totals)

    def holds(self, event: Event) -> bool:
        """Whether the event is under its key."""
        return (event.customer, event.event_id) in self.store.ids

    def is_aware(self, token: str, disk_id: bytes, *, incarnation: str, applied_seq: int) -> bool:
        """Whether what an agent believes is not ahead of what this store knows.

        Args:
            token: The agent's.
            disk_id: The agent's.
            incarnation: As the agent heard it.
            applied_seq: In the server's positions.
        """
        stream = self.store.streams.get((token, disk_id))
        known_seq = 0 if stream is None else stream.applied_seq
        return incarnation == self.store.incarnation and applied_seq <= known_seq

    def crash(self, *, seconds: float) -> None:
        """Ends the process; what was committed stays."""
        self._epoch += 1
        self._is_up = False
        self._world.after(seconds, self.start)

    def start(self) -> None:
        """Starts the process."""
        self._is_up = True

    def take_backup(self) -> None:
        """Copies the store."""
        self._backups.append(self.store.copy())

    def restore(self, *, is_noticed: bool) -> bool:
        """Goes back to a backup, as another incarnation where somebody noticed.

        Returns:
            Whether there was one to go back to.
        """
        backups = [
            each for each in self._backups if self._may_return_to(each.incarnation, is_noticed)
        ]
        if not backups:
            return False
        self.store = self._world.source.choice(backups).copy()
        self.crash(seconds=self._world.source.random() * 5.0)
        if is_noticed:
            self._renew_incarnation()
        return True

    def _may_return_to(self, incarnation: str, is_noticed: bool) -> bool:
        """Whether a restore may bring back data of that incarnation.

        That nobody notices a restore and that it also undoes an earlier one that was noticed is
        outside of what the protocol cures: see the known limit in docs/reliability.md.
        """
        is_current = incarnation == self.incarnation
        return is_noticed or is_current or self._world.rules.beyond_the_limit

    def _renew_incarnation(self) -> None:
        self.store.incarnation = f"i{self._incarnations}"
        self._incarnations += 1

    def open(self, token: str, opening: Opening, *, reply: Reply) -> None:
        """Opens a session: one transaction."""
        if not self._is_up or self._crashes("before"):
            return
        answer = self._open(token, opening)
        if not self._crashes("after"):
            reply(answer)

    def _open(self, token: str, opening: Opening) -> SessionAnswer | TakenReply:
        store = self.store
        main = store.streams.get((token, store.main_disk.get(token, b"")))
        stream = store.streams.get((token, opening.disk_id))
        decision = decide_opening(
            opening,
            incarnation=store.incarnation,
            stream=stream,
            previous=store.streams.get((token, opening.previous_disk_id)),
        )
        if decision.action is OpeningAction.TAKEN:
            return TakenReply()
        if decision.is_server_behind:
            self._renew_incarnation()
        numbers = [each.session_no for each in (main, stream) if each is not None]
        session_no = max(numbers, default=0) + 1
        if decision.action is OpeningAction.REPEAT and stream is not None:
            session_no = stream.session_no
        if decision.action is OpeningAction.REPLACE_DISK:
            store.main_disk[token] = opening.disk_id
        if decision.lost is not None:
            self._world.truth.declared_count += decision.lost[1] - decision.lost[0] + 1
        opened = opened_stream(opening, decision=decision, session_no=session_no)
        store.streams[token, opening.disk_id] = opened
        applied_seq = opened.applied_seq
        return SessionAnswer(token, session_no, self.incarnation, applied_seq, applied_seq)

    def push(self, push: Push, *, reply: Reply, start: int = 0, new_count: int = 0) -> None:
        """Applies a push from its part that begins at `start` on, one transaction a part."""
        if not self._is_up or self._crashes("before"):
            return
        part = push.events[start : start + self._world.weather.part_events]
        state, applied_seq, new = self._apply(push, part, first_seq=push.sent.first_seq + start)
        if self._crashes("after"):
            return
        end, new_count = start + len(part), new_count + new
        if state is PushState.APPLIED and end < len(push.events):
            self._later(
                PART_SECONDS,
                lambda: self.push(push, reply=reply, start=end, new_count=new_count),
            )
            return
        counts = PushCounts(new_count, len(push.events) - new_count, 0, 0)
        answer = PushAnswer(OUTCOMES[state], self.incarnation, applied_seq, applied_seq)
        reply(PushReply(answer, counts))

    def _apply(
        self, push: Push, part: tuple[Event, ...], *, first_seq: int
    ) -> tuple[PushState, int, int]:
        store, rules = self.store, self._world.rules
        key = (push.token, push.disk_id)
        stream = store.streams.get(key)
        known_seq = 0 if stream is None else stream.applied_seq
        first_seq += push.sent.seq_offset
        decision = rules.decide_push(
            server=(store.incarnation, 0 if stream is None else stream.session_no),
            named=(push.sent.server_incarnation, push.sent.session_no),
            applied_seq=known_seq,
            first_seq=first_seq,
            event_count=len(part),
        )
        if decision.state is not PushState.APPLIED or stream is None:
            return decision.state, decision.applied_seq, 0
        store.streams[key] = advanced(stream, applied_seq=decision.applied_seq)
        if rules.acks_before_counting:
            self._later(0.05, lambda: self._count_later(part))
            return decision.state, decision.applied_seq, 0
        if rules.marks_apart:
            part = self._mark(part)
        if rules.looks_at_ids:
            return decision.state, decision.applied_seq, store.count(part)
        fresh = part[max(0, known_seq + 1 - first_seq) :]
        for event in fresh:
            store.ids[event.customer, event.event_id] = event
            store.totals[event.customer] += event.quantity
        return decision.state, decision.applied_seq, len(fresh)

    def _count_later(self, events: tuple[Event, ...]) -> None:
        self.store.count(events)

    def _mark(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Mutant: takes the keys in a transaction before the one that counts."""
        new = tuple(dict.fromkeys(each for each in events if not self.holds(each)))
        self.store.ids.update({(each.customer, each.event_id): each for each in new})
        if self._crashes("between"):
            return ()
        for event in new:
            self.store.totals[event.customer] += event.quantity
        return ()

    def _crashes(self, moment: str) -> bool:
        world = self._world
        if not world.happens(world.weather.server_crash, f"server crash {moment} a commit"):
            return False
        self.crash(seconds=world.source.random() * 5.0)
        return True

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        epoch = self._epoch
        self._world.after(seconds, lambda: action() if epoch == self._epoch else None)
