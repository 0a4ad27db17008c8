"""The conservation line: every accepted event is somewhere (protocol section 8).

Judged since the process started, at acked borders:

    carried over + accepted + taken back
        = counted + duplicates + conflicts + quarantined + declared lost + damaged + buffered

`accepted` is counted where events become durable, `buffered` follows from the positions, and the
rest is what the server said: three sources that know nothing of each other. What the agent refuses
is never accepted, and the server refuses nothing that an agent accepted, so rejected events stand
on neither side.
"""

from dataclasses import dataclass, replace

from meter_agent.core.positions import Positions


@dataclass(frozen=True, slots=True)
class PushCounts:
    """What the server said became of the events of one push."""

    counted: int
    """Counted, now or on an earlier try, >= 0."""
    duplicates: int
    """Counted before with the same content, >= 0."""
    conflicts: int
    """Counted before with other content, >= 0."""
    quarantined: int
    """Waiting for an operator, >= 0."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the events went since the process started. All are counts of events, >= 0."""

    carried_over: int = 0
    """Buffered when the process started."""
    taken_back: int = 0
    """Taken for applied once, and sent again or declared lost since: the server went back."""
    counted: int = 0
    """Counted by the server, now or on an earlier try."""
    duplicates: int = 0
    """Counted before with the same content."""
    conflicts: int = 0
    """Counted before with other content."""
    quarantined: int = 0
    """Waiting for an operator."""
    declared_lost: int = 0
    """Lost to the server and no longer kept here, or refused by it for good."""


def pushed(ledger: Ledger, counts: PushCounts) -> Ledger:
    """Returns the ledger after a push was applied."""
    return replace(
        ledger,
        counted=ledger.counted + counts.counted,
        duplicates=ledger.duplicates + counts.duplicates,
        conflicts=ledger.conflicts + counts.conflicts,
        quarantined=ledger.quarantined + counts.quarantined,
    )


def moved(ledger: Ledger, *, before: Positions, after: Positions, declared_lost: int = 0) -> Ledger:
    """Returns the ledger after the positions moved without an ack.

    Args:
        ledger: Before.
        before: The positions before the move.
        after: The positions after it; no event was appended in between.
        declared_lost: Applied events that the server lost and that are no longer kept, >= 0.
    """
    sent_again = max(0, after.buffered_count - before.buffered_count)
    return replace(
        ledger,
        taken_back=ledger.taken_back + sent_again + declared_lost,
        declared_lost=ledger.declared_lost + declared_lost,
    )


def imbalance(ledger: Ledger, *, accepted: int, buffered: int, damaged: int = 0) -> int:
    """Returns by how many events the line is off; 0 where it holds.

    Above 0: events are gone. Below 0: more came out than went in.

    Args:
        ledger: At an acked border.
        accepted: Events that became durable since the process started, >= 0.
        buffered: Events that wait for the server, >= 0.
        damaged: Events that waited and were lost to damage of the disk, net of what a repair made
            wait again.
    """
    put_in = ledger.carried_over + accepted + ledger.taken_back
    arrived = ledger.counted + ledger.duplicates + ledger.conflicts + ledger.quarantined
    return put_in - arrived - ledger.declared_lost - damaged - buffered
