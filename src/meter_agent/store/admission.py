"""What may become a commit: the disk budget, fair between callers, and the room on the disk."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from meter_agent.core.disk_budget import Admission, CallerAccounts, DiskBudget
from meter_agent.store.ballast import Ballast
from meter_agent.store.database import disk_full_error
from meter_agent.store.group import Append
from meter_agent.store.operation import Operation
from metering.errors import MeteringError, QuotaExceededError

BUFFER_FULL_RETRY_SECONDS: Final = 5.0
TEND_SECONDS: Final = 2.0
"""How often it is looked whether the ballast can be made again."""
LOG_ROOM_BYTES: Final = 5 * 1024 * 1024
"""Free bytes that the log needs while rows go into free pages of the database."""

_Item = Append | Operation

_LOG = structlog.get_logger("meter_agent.store")


class AdmissionControl:
    """Judges appends before a commit. Used by the writer's thread; the warnings by any.

    Args:
        budget: Bytes of events that may lie on disk.
        ballast: Room for the time when the disk is full.
    """

    def __init__(self, *, budget: DiskBudget, ballast: Ballast) -> None:
        self._budget = budget
        self._ballast = ballast
        self._accounts = CallerAccounts(budget)
        # Given free by a process before this one: what is free is still that room.
        self._is_disk_short = ballast.is_missing and ballast.is_given_up
        self._is_budget_short = False
        self._tend_at = 0.0
        self._end_bytes = 0

    @property
    def is_work_due(self) -> bool:
        """Whether there is something to do when nothing comes."""
        return self._ballast.is_missing

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at."""
        found = []
        if self._is_budget_short:
            found.append(
                "DISK_BUDGET_NEARLY_FULL: more than 70 % of the disk budget is used; at 95 % no "
                "more is recorded: bring the server back, or raise --disk-budget-bytes"
            )
        if self._is_disk_short:
            found.append(
                "DISK_FULL: the disk of the data directory is full; free some space, the agent "
                "goes on by itself"
            )
        elif self._ballast.is_missing:
            found.append(
                f"BALLAST_MISSING: there is no room for {self._ballast.path} of "
                f"{self._ballast.size_bytes} bytes; free twice as much, or lower --ballast-bytes"
            )
        return tuple(found)

    def split(
        self, appends: Sequence[_Item], *, kept_bytes: int, free_in_file: Callable[[], int]
    ) -> tuple[list[_Item], list[tuple[_Item, MeteringError]]]:
        """Returns what may be committed, and what is refused with the reason.

        Args:
            appends: In order.
            kept_bytes: Bytes of the rows on disk.
            free_in_file: Tells the bytes of the database's own free pages; called on a full disk.
        """
        room = self._room_on_disk(free_in_file) if appends and self._is_disk_short else None
        now = time.monotonic()
        taken: list[_Item] = []
        refused: list[tuple[_Item, MeteringError]] = []
        for item in appends:
            size = len(item.events)
            if size == 0:  # A change of leases alone: its row takes the place of another.
                taken.append(item)
                continue
            if room is not None and size > room:
                refused.append((item, disk_full_error(self._ballast.path.parent)))
                continue
            admission = self._accounts.admit(
                item.caller, byte_count=size, kept_bytes=kept_bytes, now_seconds=now
            )
            if admission is not Admission.TAKEN:
                refused.append((item, self._buffer_full(admission)))
                continue
            kept_bytes += size
            room = None if room is None else room - size
            taken.append(item)
        return taken, refused

    def committed(self, appends: Sequence[Append], *, end_bytes: int, kept_from_bytes: int) -> None:
        """Notes what is on disk after a commit."""
        if end_bytes < self._end_bytes:  # The count began anew, with an empty or another database.
            self._accounts = CallerAccounts(self._budget)
        self._end_bytes = end_bytes
        for item in appends:
            self._accounts.book(item.caller, byte_count=len(item.events), end_bytes=end_bytes)
        self._accounts.release(kept_from_bytes=kept_from_bytes)
        self._warn(end_bytes - kept_from_bytes)

    def disk_filled(self) -> bool:
        """Gives the ballast's room free; returns whether there is room now that was not before."""
        is_freed = self._ballast.release()
        if is_freed:
            self._is_disk_short = True
            _LOG.error(
                "disk_full",
                path=str(self._ballast.path.parent),
                freed_bytes=self._ballast.size_bytes,
            )
        return is_freed

    def tend(self) -> None:
        """Makes the ballast again where there is room; cheap, and done every few seconds only."""
        now = time.monotonic()
        if not self._ballast.is_missing or now < self._tend_at:
            return
        self._tend_at = now + TEND_SECONDS
        self._ballast.make()
        if self._ballast.is_there and self._is_disk_short:
            self._is_disk_short = False
            _LOG.info("disk_full_over", path=str(self._ballast.path.parent))

    def _room_on_disk(self, free_in_file: Callable[[], int]) -> int:
        """Returns the bytes that may be recorded without eating the room of the ballast."""
        free = self._ballast.free_bytes()
        if free >= self._ballast.size_bytes + LOG_ROOM_BYTES:
            return free - self._ballast.size_bytes - LOG_ROOM_BYTES
        # The file does not grow where rows go into pages that deleted rows left.
        return free_in_file() * 3 // 4 if free >= LOG_ROOM_BYTES else 0

    def _warn(self, kept_bytes: int) -> None:
        if not self._is_budget_short and kept_bytes >= self._budget.warn_bytes:
            self._is_budget_short = True
            _LOG.warning(
                "disk_budget_nearly_full",
                kept_bytes=kept_bytes,
                budget_bytes=self._budget.bytes_max,
            )
        elif self._is_budget_short and kept_bytes < self._budget.clear_bytes:
            self._is_budget_short = False
            _LOG.info("disk_budget_has_room", kept_bytes=kept_bytes)

    def _buffer_full(self, admission: Admission) -> QuotaExceededError:
        why = "the server is away or too slow (see meter-agent status)"
        if admission is Admission.OVER_SHARE:
            why += ", and this service holds more than its share: what is left is for the others"
        return QuotaExceededError(
            reason="BUFFER_FULL",
            message=f"the buffer has reached 95 % of its budget of {self._budget.bytes_max} bytes, "
            f"nothing was recorded: {why}; bring the server back, or raise --disk-budget-bytes",
            metadata={
                "budget_bytes": str(self._budget.bytes_max),
                "admission": admission.value,
            },
            retry_after_seconds=BUFFER_FULL_RETRY_SECONDS,
        )
