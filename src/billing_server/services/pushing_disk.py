"""The agent's disk that a push comes from: which one it is, and how far it has come."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.services.usage_payload import DecodedEvent, UsagePush


def lock_pushing_disk(unit: UnitOfWork, *, agent: Agent, push: UsagePush) -> Agent | None:
    """Returns what is known of the disk that pushes, held until the end of the unit of work.

    Holding the enrolled agent holds all its disks. A push that names no disk comes from an agent of
    an older version, which has one.
    """
    enrolled = unit.agents.lock(agent.agent_id)
    if enrolled is None or push.disk_id in (b"", enrolled.disk_id):
        return enrolled
    return unit.agents.disk(enrolled, disk_id=push.disk_id)


def part_of_push(push: UsagePush, *, rest: Sequence[DecodedEvent]) -> UsagePush:
    """Returns a push as it stands for a part of it, before the rest is counted.

    A period is closed on the word of its agents (R75): until the rest is counted too, it is what
    they still hold.

    Args:
        push: the whole call.
        rest: events of it that come after the part.
    """
    if not rest:
        return push
    oldest = instant_from_microseconds(min(event.row.event_time_us for event in rest))
    told = push.oldest_unshipped_event_time
    return replace(push, oldest_unshipped_event_time=oldest if told is None else min(oldest, told))


def advance_disk(
    unit: UnitOfWork,
    *,
    disk: Agent,
    push: UsagePush,
    applied_seq: int,
    event_count: int,
    now: datetime,
) -> None:
    """Writes how far a disk has come, and what it still holds.

    A repeat of what was applied before brings old news of the rest and changes none.

    Args:
        unit: the transaction that counts the events.
        disk: as it was before.
        push: the call, as it stands for this part.
        applied_seq: highest position applied with this part.
        event_count: events of this part; none where the call is a sign of life.
        now: the server's time.
    """
    is_repeat = event_count > 0 and applied_seq == disk.applied_seq
    oldest = disk.oldest_unshipped_event_time if is_repeat else push.oldest_unshipped_event_time
    unit.agents.advance(
        disk.agent_id,
        applied_seq=applied_seq,
        oldest_unshipped_event_time=oldest,
        last_seen=now,
        reported_next_seq=max(push.next_seq, disk.reported_next_seq),
    )
