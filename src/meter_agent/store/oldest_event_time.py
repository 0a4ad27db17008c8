"""The oldest event time of what waits for the server, without walking over what does not.

Applied rows stay on disk for a replay, and most of them are older than all that waits: an index of
times alone would pass each of them by at every push. So the search goes on from where it ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

_BLOCK_OF: str = "COALESCE((SELECT max(first_seq) FROM block WHERE first_seq <= ?), 0)"


@dataclass(slots=True)
class OldestEventTime:
    """Remembers how far the search came. For one thread at a time, over one database."""

    found_us: int | None = None
    """What was found last; no row from `from_seq` to `seen_seq` has an older event."""
    from_seq: int | None = None
    """Number from which was searched; None: never yet."""
    seen_seq: int = 0
    """Highest first number of a row that was there."""

    def find(
        self,
        ask: Callable[[str, tuple[int, ...]], int | None],
        *,
        first_seq: int,
    ) -> int | None:
        """Returns the oldest event time from a number on; None where there is no event.

        Args:
            ask: Runs a query and returns its one number.
            first_seq: Number of the first event that waits.
        """
        seen_seq = ask("SELECT first_seq FROM block ORDER BY first_seq DESC LIMIT 1", ()) or 0
        if self.from_seq is None or first_seq < self.from_seq or seen_seq < self.seen_seq:
            start = -(1 << 62)  # Rows count again, or it is another database: from the beginning.
        else:
            # The plus keeps SQLite on the rows that are new since: there are few.
            newer = ask(
                "SELECT min(+oldest_event_time_us) FROM block WHERE first_seq > ? "
                "HAVING count(*) > 0",
                (self.seen_seq,),
            )
            known = [each for each in (self.found_us, newer) if each is not None]
            start = min(known) if known else 1 << 62
        self.found_us = ask(
            "SELECT oldest_event_time_us FROM block WHERE oldest_event_time_us >= ? "
            f"AND +first_seq >= {_BLOCK_OF} AND +first_seq + event_count > ? "
            "ORDER BY oldest_event_time_us LIMIT 1",
            (start, first_seq, first_seq),
        )
        self.from_seq, self.seen_seq = first_seq, seen_seq
        return self.found_us
