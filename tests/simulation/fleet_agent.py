"""An agent of a simulated fleet: its process over a disk, with the shipper's order of steps.

What follows from an answer is decided by `meter_agent.core`, the waits by its back-off, and the
conservation line is judged by the tally of `meter_agent.uplink`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from billing_server.domain.session.opening import Opening
from meter_agent.core import positions as core
from meter_agent.core.backoff import BackoffPolicy, backoff_seconds
from meter_agent.core.positions import Positions, PushOutcome, PushSent, SessionAnswer
from meter_agent.core.validation import ACCEPT_FUTURE_US, ACCEPT_PAST_US
from meter_agent.uplink.settings import ALIVE_SECONDS
from meter_agent.uplink.shipper import LINGER_SECONDS
from meter_agent.uplink.tally import ObservedChange, UplinkTally
from tests.simulation.fleet_disk import Disk, Work, Writer
from tests.simulation.fleet_server import Push, PushReply, Server, TakenReply
from tests.simulation.fleet_truth import Event, Violation
from tests.simulation.fleet_world import Action, World

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
ServerReply = SessionAnswer | PushReply | TakenReply


class WorldClock:
    """A host's clock: true time for waits, and a wall clock that may be set."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offset_seconds = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._world.now + self.offset_seconds)

    def monotonic(self) -> float:
        return self._world.now


class Agent:
    """One agent of the fleet; a restart makes a new process over the same disk."""

    def __init__(
        self,
        world: World,
        *,
        name: str,
        token: str,
        disk: Disk,
        server: Server,
        fleet: "list[Agent]",
    ) -> None:
        self.name, self.token, self.disk = name, token, disk
        self.clock = WorldClock(world)
        self._world, self._server, self._fleet = world, server, fleet
        self._call_seconds = world.source.choice((1.0, 5.0, 30.0))
        self._epoch = 0
        self.is_up = False
        self._paused_until = 0.0
        self.start()

    def start(self) -> None:
        """Starts the process, if it is not running."""
        if self.is_up:
            return
        self.is_up = True
        # A session does not outlive the process.
        self.disk.positions = replace(self.disk.positions, session_no=0)
        self.writer = Writer(
            self._world, self.disk, self._later, lambda: self.crash(seconds=None), self._trimmed
        )
        self.tally = UplinkTally(carried_over=self.disk.positions.buffered_count, clock=self.clock)
        self._call_no = 0
        self._failures = 0
        self._is_fruitful = True
        self._is_waiting = False
        self._later(0.01, self._ship)

    def crash(self, *, seconds: float | None) -> None:
        """Kills the process; it starts again after a while."""
        self._epoch += 1
        self.is_up = False
        if seconds is None:
            seconds = self._world.source.random() * 5.0
        self._world.after(seconds, self.start)

    def pause(self, *, seconds: float) -> None:
        """Freezes the process."""
        self._paused_until = self._world.now + seconds

    def _later(self, seconds: float, action: Action) -> None:
        epoch = self._epoch

        def due() -> None:
            if epoch != self._epoch:
                return
            rest = self._paused_until - self._world.now
            if rest > 0 and not self._world.is_healed:
                self._later(rest, action)
            else:
                action()

        self._world.after(seconds, due)

    # --- recording

    def record(self, events: tuple[Event, ...], *, reply: Callable[[str], None]) -> None:
        """Takes a request of a caller: OK after the commit, REFUSED, or FULL."""
        if not self.is_up:
            return
        self._later(0.0, lambda: self._record(events, reply))

    def _record(self, events: tuple[Event, ...], reply: Callable[[str], None]) -> None:
        if not all(self._is_in_window(event) for event in events):
            self._world.truth.faults["event refused by a wrong clock"] += 1
            reply("REFUSED")
            return

        def is_durable() -> None:
            self._world.truth.answered.update(dict.fromkeys(events))
            reply("OK")
            if self._is_waiting:
                self._is_waiting = False
                self._ship()

        if self._world.rules.answers_before_commit:
            self._world.truth.answered.update(dict.fromkeys(events))
            reply("OK")
        self.writer.add(Work(is_durable, lambda: reply("FULL"), events))

    def _is_in_window(self, event: Event) -> bool:
        if event.event_time is None:
            return True
        age_us = (self._world.now + self.clock.offset_seconds - event.event_time) * 1e6
        return -ACCEPT_FUTURE_US <= age_us <= ACCEPT_PAST_US

    def _trimmed(self, events: tuple[Event, ...]) -> None:
        """Holds each deletion against what the server has counted."""
        unsafe = [event for event in events if not self._server.holds(event)]
        if not unsafe:
            return
        state = self.disk.positions
        if self._server.is_aware(
            self.token,
            state.disk_id,
            incarnation=state.server_incarnation,
            applied_seq=state.applied_seq + state.seq_offset,
        ):
            raise Violation(f"deleted at {self.name}, and not counted: {unsafe}")
        # What an agent does before it can know of a restore is outside of any promise.
        lost_copies(self._world, self._server, self._fleet, unsafe, cause="server")

    # --- shipping

    def _change(self, change: Callable[[Positions], Positions], done: Callable[[], None]) -> None:
        self.writer.add(Work(done, self._back_off, change=change))

    def _back_off(self) -> None:
        self.tally.failed()
        self._failures += 1
        seconds = backoff_seconds(
            self._failures, policy=BackoffPolicy(), uniform=self._world.source.uniform
        )
        self._later(seconds, self._ship)

    def _ship(self) -> None:
        """Does one turn: opens a session, pushes a page, or waits for one."""
        state = self.disk.positions
        if state.session_no == 0:
            nonce = self._world.fresh_bytes()
            self._change(
                lambda now: core.session_attempted(now, fresh_nonce=nonce), self._open_session
            )
            return
        first = state.applied_seq + 1 - state.earliest_kept_seq
        events = self.disk.rows[first : first + self._world.weather.page_events]
        if events:
            self._push(state, events)
            return
        self._is_waiting = True
        self._later(ALIVE_SECONDS * self._world.source.uniform(0.8, 1.2), self._tell_alive)

    def _tell_alive(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._push(self.disk.positions, ())

    def _open_session(self) -> None:
        attempt = self.disk.positions
        opening = Opening(
            disk_id=attempt.disk_id,
            nonce=attempt.nonce,
            sync_no=attempt.sync_no,
            applied_seq=attempt.applied_seq + attempt.seq_offset,
            earliest_kept_seq=attempt.earliest_kept_seq + attempt.seq_offset,
            incarnation=attempt.server_incarnation,
            previous_disk_id=attempt.previous_disk_id,
        )
        self._call(
            lambda reply: self._server.open(self.token, opening, reply=reply),
            lambda answer: self._session_answered(attempt, answer),
        )

    def _session_answered(self, attempt: Positions, answer: ServerReply) -> None:
        rules, fresh = self._world.rules, self._world.fresh_bytes()
        fields = {"attempt_nonce": attempt.nonce, "fresh_disk_id": fresh}
        if isinstance(answer, TakenReply):
            self._change(lambda now: rules.identity_taken(now, **fields), self._answer_taken)
            return
        change = ObservedChange(lambda now: rules.session_opened(now, answer, **fields))

        def opened() -> None:
            self.tally.session_opened(change)
            self._answer_taken()

        self._change(change, opened)

    def _answer_taken(self) -> None:
        self._failures = 0
        self._ship()

    def _push(self, state: Positions, events: tuple[Event, ...]) -> None:
        first = state.applied_seq + 1
        sent = PushSent(
            state.session_no,
            state.server_incarnation,
            first,
            first + len(events) - 1,
            state.seq_offset,
        )
        self.writer.sent_seq = sent.last_seq
        push = Push(self.token, state.disk_id, sent, events)
        self._call(
            lambda reply: self._server.push(push, reply=reply),
            lambda answer: self._push_answered(sent, answer),
            events=events,
        )

    def _push_answered(self, sent: PushSent, reply: ServerReply) -> None:
        assert isinstance(reply, PushReply)
        answer, rules = reply.answer, self._world.rules
        change = ObservedChange(lambda now: rules.push_answered(now, sent=sent, answer=answer))
        self._change(change, lambda: self._push_noted(sent, reply, change))

    def _push_noted(self, sent: PushSent, reply: PushReply, change: ObservedChange) -> None:
        answer = reply.answer
        if answer.outcome is PushOutcome.APPLIED:
            self._is_fruitful = True
            self.tally.pushed(reply.counts, border=self.writer.border)
            if off := self.tally.figures.imbalance:
                raise Violation(f"the conservation line of {self.name} is off by {off}")
            self._failures = 0
            self._later(LINGER_SECONDS, self._ship)
            return
        if answer.outcome is PushOutcome.GAP:
            self.tally.gap_answered(change, server_applied_seq=answer.applied_seq)
        else:
            self.tally.fenced()
        if not self._is_fruitful:
            self._back_off()
            return
        self._is_fruitful = False
        self._answer_taken()

    def _call(
        self,
        request: Callable[[Callable[[ServerReply], None]], None],
        answered: Callable[[ServerReply], None],
        *,
        events: tuple[Event, ...] = (),
    ) -> None:
        """Calls the server; exactly one of an answer and a passed deadline is heard."""
        self._call_no += 1
        call_no, epoch, world = self._call_no, self._epoch, self._world

        def heard(answer: ServerReply | None) -> None:
            if call_no == self._call_no and epoch == self._epoch:
                self._call_no += 1
                if answer is None:
                    self._back_off()
                else:
                    answered(answer)

        def answer_with(answer: ServerReply) -> None:
            world.send("server", self.name, lambda: deliver(answer))

        def deliver(answer: ServerReply) -> None:
            if epoch == self._epoch:
                self._later(0.0, lambda: heard(answer))

        world.send(self.name, "server", lambda: request(answer_with), events=events)
        self._later(self._call_seconds, lambda: heard(None))


def lost_copies(
    world: World,
    server: Server,
    fleet: list[Agent],
    suspects: "list[Event] | tuple[Event, ...]",
    *,
    cause: str,
) -> None:
    """Notes which of the events have no copy left on any disk or at the server."""
    left = {event for agent in fleet for event in agent.disk.rows}
    left |= server.counted
    world.truth.copies_lost(suspects, left=left, cause=cause, now=world.now)
