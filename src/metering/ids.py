"""Ids: time-ordered event ids, derived settlement ids, prefixed ids of resources.

Ids are unique, not secret: nothing may be granted for knowing one.
"""

import base64
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID, uuid5

SETTLEMENT_NAMESPACE: Final = UUID("8f0c2f62-5d0e-5a53-9d0b-5b0b8a1d7c11")
"""Namespace of settlement event ids. Part of the contract: a change would bill retries twice."""

_SEED_BYTES: Final = 10
_COUNTER_LIMIT: Final = 1 << 48
# The topmost bit of the 48 starts at zero: a millisecond has room for at least 2**47 ids.
_COUNTER_SEED_MASK: Final = (1 << 47) - 1
_RAND_A_MASK: Final = 0xFFF
_VARIANT_AND_RAND_B_TOP_MASK: Final = 0x3FFF
_VERSION: Final = 0x7000
_VARIANT: Final = 0x8000
_PREFIXED_ID_BYTES: Final = 15


class _Run(NamedTuple):
    """Ids that share all but their counter; replaced whole, so that no lock guards it."""

    millisecond: int
    head: str
    counter: "itertools.count[int]"


_NO_RUN: Final = _Run(-1, "", itertools.count())


class UuidV7Generator:
    """Makes UUIDv7 texts (RFC 9562) that rise within one process, whatever its clock does.

    In each new millisecond the 74 bits beside it are seeded at random; inside the millisecond the
    lowest 48 of them count up (RFC 9562 section 6.2). So the ids of one process sort in the order
    in which they were made, and two processes meet only where 26 random bits are equal in one
    millisecond and their counters then overlap. A clock that steps back keeps the last
    millisecond and counts on.

    Args:
        now_ms: Milliseconds since 1970-01-01T00:00:00Z, 0 to 2**48 - 1.
        random_bytes: Returns that many random bytes; must not repeat across processes.
    """

    __slots__ = ("_lock", "_now_ms", "_random_bytes", "_run")

    def __init__(self, *, now_ms: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._run = _NO_RUN

    def __call__(self) -> str:
        """Returns the next id, 36 characters in lower case. Never waits, also in a signal handler.

        The text before the counter is made once a millisecond: an id is minted for every call that
        is metered, in the caller's own thread.
        """
        now_ms = self._now_ms()
        millisecond, head, counter = self._run
        if now_ms > millisecond:
            millisecond, head, counter = self._next_run(now_ms)
        number = next(counter)
        if number >= _COUNTER_LIMIT:
            _, head, counter = self._next_run(millisecond + 1)
            number = next(counter)
        return f"{head}{number:012x}"

    def _next_run(self, millisecond: int) -> "_Run":
        # Nobody waits here: a signal handler may have interrupted the very frame that holds the
        # lock. Whoever comes second counts on in the run before, which keeps its ids in order.
        if not self._lock.acquire(blocking=False):
            run = self._run
            return self._seeded(millisecond) if run is _NO_RUN else run
        try:
            run = self._run
            if run.millisecond < millisecond:
                run = self._run = self._seeded(millisecond)
            return run
        finally:
            self._lock.release()

    def _seeded(self, millisecond: int) -> "_Run":
        seed = int.from_bytes(self._random_bytes(_SEED_BYTES))
        time_digits = f"{millisecond:012x}"
        version_and_rand_a = _VERSION | (seed >> 68 & _RAND_A_MASK)
        variant_and_rand_b = _VARIANT | (seed >> 54 & _VARIANT_AND_RAND_B_TOP_MASK)
        head = f"{time_digits[:8]}-{time_digits[8:]}-{version_and_rand_a:x}-{variant_and_rand_b:x}-"
        return _Run(millisecond, head, itertools.count(seed & _COUNTER_SEED_MASK))

    def reset_after_fork(self) -> None:
        """Makes the generator of a forked child part ways with its parent's.

        The child inherits the head and the counter, and a lock that another thread of the parent
        may hold for ever.
        """
        self._lock = threading.Lock()
        self._run = _NO_RUN


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


_default = UuidV7Generator(now_ms=_system_ms, random_bytes=os.urandom)
os.register_at_fork(after_in_child=_default.reset_after_fork)


def uuid7() -> str:
    """Returns a UUIDv7 text on the system's clock and randomness, 36 characters."""
    return _default()


def settlement_event_id(customer_id: str, reservation_id: str) -> str:
    """Returns the event id of a reservation's settlement: the same on every agent and retry.

    UUIDv5 of customer, NUL, reservation id, NUL, "settle".
    """
    return str(uuid5(SETTLEMENT_NAMESPACE, f"{customer_id}\0{reservation_id}\0settle"))


def expiry_event_id(customer_id: str, reservation_id: str) -> str:
    """Returns the event id of what is billed for a reservation that nobody ended.

    UUIDv5 of customer, NUL, reservation id, NUL, "expire": another one than its settlement's.
    """
    return str(uuid5(SETTLEMENT_NAMESPACE, f"{customer_id}\0{reservation_id}\0expire"))


def prefixed_id(prefix: str, random_bytes: Callable[[int], bytes]) -> str:
    """Returns the id of a resource: `prefix`, "_" and 24 base32 characters (120 random bits).

    Args:
        prefix: Short name of the resource's type, e.g. "inv".
        random_bytes: Returns that many random bytes, e.g. `os.urandom`.
    """
    digits = base64.b32encode(random_bytes(_PREFIXED_ID_BYTES)).decode("ascii").lower()
    return f"{prefix}_{digits}"
