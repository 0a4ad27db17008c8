"""What the uplink saw: answers by kind, time offline, and the conservation line."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from meter_agent.core import conservation
from meter_agent.core.conservation import Ledger, PushCounts
from meter_agent.core.positions import Positions
from meter_agent.core.rate import RateWindow
from meter_agent.store.border import Border
from metering.clock import Clock

_LOG = structlog.get_logger("meter_agent.uplink")

Change = Callable[[Positions], Positions]


@dataclass(frozen=True, slots=True)
class UplinkFigures:
    """The uplink since the process started, at one moment."""

    ledger: Ledger = field(default_factory=Ledger)
    """Where the events went."""
    imbalance: int = 0
    """By how many events the conservation line was off at the last ack; 0 where it holds."""
    session_count: int = 0
    """Sessions opened, >= 0."""
    push_count: int = 0
    """Pushes that were applied, >= 0."""
    gap_count: int = 0
    """Pushes that would have left a hole, >= 0."""
    fenced_count: int = 0
    """Pushes of a session that was no longer the current one, >= 0."""
    failure_count: int = 0
    """Calls that failed, >= 0."""
    incarnation_change_count: int = 0
    """Times the server came back as another incarnation, >= 0."""
    offline_since: datetime | None = None
    """Since when no call was answered; None where the last one was."""
    offline_since_seconds: float = 0.0
    """The same on the monotonic clock; means nothing where `offline_since` is None."""
    offline_past_seconds: float = 0.0
    """All times offline that are over, seconds, >= 0."""


class ObservedChange:
    """A change of the positions that keeps what it was given and what it returned.

    The writer's thread applies it, with nothing in between, so both sides belong together.
    """

    def __init__(self, change: Change) -> None:
        self._change = change
        self.before: Positions | None = None
        self.after: Positions | None = None

    def __call__(self, positions: Positions) -> Positions:
        """Applies the change."""
        after = self._change(positions)
        self.before, self.after = positions, after
        return after


class UplinkTally:
    """Keeps the figures; the shipper's thread writes, any thread reads.

    Args:
        carried_over: Events that were buffered when the process started, >= 0.
        clock: Of the host.
    """

    def __init__(self, *, carried_over: int, clock: Clock) -> None:
        self._clock: Final = clock
        self._figures = UplinkFigures(ledger=Ledger(carried_over=carried_over))
        self._rate = RateWindow()

    @property
    def figures(self) -> UplinkFigures:
        """The figures now; replaced whole, so what is read belongs together."""
        return self._figures

    @property
    def drain_events_per_second(self) -> float:
        """Events acked a second over the last minute."""
        return self._rate.per_second(now_seconds=self._clock.monotonic())

    @property
    def offline_seconds(self) -> float:
        """How long the server has not answered by now; 0 where its last call was answered."""
        figures = self._figures
        if figures.offline_since is None:
            return 0.0
        return max(0.0, self._clock.monotonic() - figures.offline_since_seconds)

    @property
    def offline_seconds_total(self) -> float:
        """All time offline since the process started, seconds."""
        return self._figures.offline_past_seconds + self.offline_seconds

    def answered(self) -> None:
        """Notes that the server answered a call."""
        if self._figures.offline_since is None:
            return
        seconds = self.offline_seconds
        self._figures = replace(
            self._figures,
            offline_since=None,
            offline_past_seconds=self._figures.offline_past_seconds + seconds,
        )
        _LOG.info("server_back", offline_seconds=round(seconds, 1))

    def failed(self) -> None:
        """Notes that a call failed; the server counts as away until one is answered well."""
        figures = replace(self._figures, failure_count=self._figures.failure_count + 1)
        if figures.offline_since is None:
            figures = replace(
                figures,
                offline_since=self._clock.now(),
                offline_since_seconds=self._clock.monotonic(),
            )
        self._figures = figures

    def session_opened(self, change: ObservedChange, *, declared_lost: int = 0) -> None:
        """Notes an answered OpenSession.

        Args:
            change: What the answer did to the positions.
            declared_lost: Applied events that the server lost and that are no longer kept, >= 0.
        """
        self.answered()
        before, after = change.before, change.after
        if before is None or after is None:
            return
        figures = self._figures
        is_new = before.server_incarnation not in ("", after.server_incarnation)
        self._figures = replace(
            figures,
            session_count=figures.session_count + 1,
            incarnation_change_count=figures.incarnation_change_count + is_new,
            ledger=conservation.moved(
                figures.ledger, before=before, after=after, declared_lost=declared_lost
            ),
        )
        _note_loss(declared_lost)
        if is_new:
            _LOG.warning(
                "server_incarnation_changed",
                before=before.server_incarnation,
                after=after.server_incarnation,
                sent_again_count=after.buffered_count - before.buffered_count,
            )

    def gap_answered(self, change: ObservedChange, *, server_applied_seq: int) -> None:
        """Notes that a push would have left a hole after the server's position.

        What lies between that position and the earliest row kept is lost: the next session
        declares it.

        Args:
            change: What the answer did to the positions.
            server_applied_seq: Highest position that the server has applied, >= 0.
        """
        self.answered()
        figures = replace(self._figures, gap_count=self._figures.gap_count + 1)
        if change.before is not None and change.after is not None:
            known_seq = server_applied_seq - change.after.seq_offset
            lost = max(0, change.after.earliest_kept_seq - 1 - known_seq)
            ledger = conservation.moved(
                figures.ledger, before=change.before, after=change.after, declared_lost=lost
            )
            figures = replace(figures, ledger=ledger)
            _note_loss(lost)
        self._figures = figures

    def set_aside(self) -> None:
        """Notes that the server refuses an event for good: the next session declares it as lost."""
        figures = self._figures
        ledger = replace(figures.ledger, declared_lost=figures.ledger.declared_lost + 1)
        self._figures = replace(figures, ledger=ledger)

    def fenced(self) -> None:
        """Notes that the session of a push was not the current one."""
        self.answered()
        self._figures = replace(self._figures, fenced_count=self._figures.fenced_count + 1)

    def pushed(self, counts: PushCounts, *, border: Border) -> None:
        """Notes an applied push and judges the conservation line at this acked border.

        Args:
            counts: As the server answered.
            border: Of one commit, the one that took the push or a later one.
        """
        self.answered()
        total = counts.counted + counts.duplicates + counts.conflicts + counts.quarantined
        self._rate.add(total, now_seconds=self._clock.monotonic())
        before = self._figures
        ledger = conservation.pushed(before.ledger, counts)
        off = conservation.imbalance(
            ledger,
            accepted=border.accepted_count,
            buffered=border.positions.buffered_count,
            damaged=border.damaged_count,
        )
        self._figures = replace(
            before, ledger=ledger, push_count=before.push_count + 1, imbalance=off
        )
        if off != before.imbalance:
            _note_imbalance(self._figures, border=border)


def _note_loss(event_count: int) -> None:
    if event_count:
        _LOG.error("loss_declared", event_count=event_count)


def _note_imbalance(figures: UplinkFigures, *, border: Border) -> None:
    """Says every term of the line, once for each change of what it is off by."""
    if figures.imbalance == 0:
        _LOG.info("conservation_restored")
        return
    ledger = figures.ledger
    _LOG.error(
        "conservation_broken",
        imbalance=figures.imbalance,
        carried_over=ledger.carried_over,
        accepted=border.accepted_count,
        taken_back=ledger.taken_back,
        counted=ledger.counted,
        duplicates=ledger.duplicates,
        conflicts=ledger.conflicts,
        quarantined=ledger.quarantined,
        declared_lost=ledger.declared_lost,
        damaged=border.damaged_count,
        buffered=border.positions.buffered_count,
    )
