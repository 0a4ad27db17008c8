"""How fast a trace is replayed: as fast as it goes, as it was, or a multiple of that."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from metering.errors import ValidationError

NANOSECONDS_PER_SECOND = 1_000_000_000
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Speed:
    """How many seconds of the trace pass in one second of the replay."""

    factor: Fraction | None
    """> 0; None: as fast as the agent takes it."""


def parse_speed(text: str) -> Speed:
    """Reads `max`, `realtime` or a number above 0, e.g. `10` or `0.5`.

    Raises:
        ValidationError: SPEED_MALFORMED.
    """
    if text == "max":
        return Speed(factor=None)
    if text == "realtime":
        return Speed(factor=Fraction(1))
    # Plain digits alone: "1e999999999" would be a number too, and take for ever to read.
    factor = Fraction(text) if _NUMBER.fullmatch(text) else Fraction(0)
    if factor <= 0:
        raise ValidationError(
            reason="SPEED_MALFORMED",
            message=f"--speed: {text!r} is no speed; "
            "write max, realtime or a number above 0, e.g. 10.",
        )
    return Speed(factor=factor)


class Pacer:
    """Holds each row back until it is due."""

    def __init__(
        self, speed: Speed, *, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._factor = speed.factor
        self._monotonic = monotonic
        self._sleep = sleep
        self._started = monotonic()

    def wait_for(self, offset_ns: int) -> None:
        """Sleeps until a row is due that came `offset_ns` nanoseconds after row 0."""
        if self._factor is None:
            return
        due = self._started + float(offset_ns / (self._factor * NANOSECONDS_PER_SECOND))
        rest = due - self._monotonic()
        if rest > 0:
            self._sleep(rest)
