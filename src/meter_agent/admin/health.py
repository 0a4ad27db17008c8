"""Liveness and readiness: two questions with two answers (a full disk is not ready, but alive)."""

from dataclasses import dataclass
from typing import Final

DISK_FREE_BYTES_MIN: Final = 16 * 1024 * 1024
"""Below this a disk counts as full: the log needs room to be moved into the database."""
STALLED_SECONDS: Final = 10.0
"""A disk that has not answered for this long does not take events."""
FAILURE_SECONDS: Final = 10.0
"""How long a failed commit keeps the agent from being ready where none has succeeded since."""


@dataclass(frozen=True, slots=True)
class HealthInput:
    """What the answers follow from. Nothing of it waits for the disk."""

    is_stopping: bool
    """Whether a stop was announced."""
    is_writer_alive: bool
    """Whether the thread runs that makes events durable."""
    is_shipper_alive: bool
    """Whether the thread runs that ships; true where there is no server."""
    is_sampled: bool
    """Whether the disk was looked at."""
    sample_age_seconds: float
    """Age of the last look at the disk, seconds."""
    commit_running_seconds: float
    """How long the commit that runs now has taken, seconds; 0 where none runs."""
    failure_age_seconds: float | None
    """Seconds since the last commit failed; None where it went well."""
    failure: str
    """Why it failed; empty where it went well."""
    disk_free_bytes: int
    """Bytes free on the file system of the buffer."""
    kept_bytes: int
    """Bytes of events on disk."""
    refuse_bytes: int
    """Bytes of events from which callers are refused."""


def why_not_live(found: HealthInput) -> str:
    """Returns why only a restart helps; empty where none is needed.

    The disk is not asked: one that is full or hangs is not cured by a restart.
    """
    if found.is_stopping:
        return ""
    if not found.is_writer_alive:
        return "the thread that makes events durable has ended"
    if not found.is_shipper_alive:
        return "the thread that ships has ended"
    return ""


def why_not_ready(found: HealthInput) -> str:
    """Returns why callers had better go elsewhere; empty where the agent takes events."""
    if found.is_stopping:
        return "the agent is stopping"
    if dead := why_not_live(found):
        return dead
    stalled = max(found.sample_age_seconds, found.commit_running_seconds)
    if stalled >= STALLED_SECONDS:
        return f"the disk has not answered for {stalled:.0f} s"
    if not found.is_sampled:
        return "the agent is starting"
    if found.disk_free_bytes < DISK_FREE_BYTES_MIN:
        return f"the disk is full: {found.disk_free_bytes} bytes are free"
    if found.kept_bytes >= found.refuse_bytes:
        return (
            f"the buffer is full: {found.kept_bytes} bytes of events lie on disk, callers are "
            f"refused from {found.refuse_bytes} on"
        )
    if found.failure_age_seconds is not None and found.failure_age_seconds < FAILURE_SECONDS:
        return f"the last commit failed: {found.failure}"
    return ""
