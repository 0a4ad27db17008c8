"""Which meters an event feeds, compiled once for each revision of the catalog."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from billing_server.domain.catalog.model import Aggregation, Meter
from metering.errors import ValidationError
from metering.quantity import QUANTITY_DIGITS_MAX, parse_quantity, scale_quantity

METER_UNKNOWN = "METER_UNKNOWN"
MeterEffect = tuple[Meter, int]
"""A meter and the value that the event brings it, scaled by 10 ** meter.decimals."""

_SCALED_MAX = 10**QUANTITY_DIGITS_MAX
_COUNTING = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
_NO_QUANTITY = ""


class _Reader(NamedTuple):
    """A meter, made ready to look at events."""

    meter: Meter
    where: tuple[tuple[str, str], ...]
    of: str
    is_count: bool
    factor: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why an event cannot be counted yet; the whole event waits, nothing of it counts (R20)."""

    reason: str
    """METER_UNKNOWN, QUANTITY_MALFORMED, QUANTITY_TOO_LARGE, QUANTITY_TOO_PRECISE, …"""
    message: str
    """What is wrong and what to do, for an operator."""


class MeterIndex:
    """Quantity name to the meters that read it. Immutable; safe to share between threads."""

    __slots__ = ("_every_event", "_money", "_readers")

    def __init__(
        self, meters: Iterable[Meter], *, money_quantities: Collection[str] = frozenset()
    ) -> None:
        """Compiles the meters.

        Args:
            meters: every meter.
            money_quantities: names that prices read as money, whether or not a meter does.
        """
        readers: dict[str, list[_Reader]] = {}
        for meter in meters:
            reader = _Reader(
                meter,
                tuple(sorted(meter.where.items())),
                meter.of,
                meter.aggregation in _COUNTING,
                10**meter.decimals,
            )
            readers.setdefault(meter.quantity, []).append(reader)
        self._every_event = tuple(readers.pop(_NO_QUANTITY, ()))
        self._readers = {name: tuple(values) for name, values in readers.items()}
        self._money = frozenset(money_quantities) - readers.keys()

    def effects(
        self, quantities: Mapping[str, str], *, dimensions: Mapping[str, str]
    ) -> list[MeterEffect] | Quarantine:
        """Returns what the event adds to which meters, or why it has to wait.

        A unique count takes 1 from each event that carries its dimension: which value it was, the
        event's series says. An empty value is none.

        A quantity that no meter reads keeps the whole event waiting: counting a part of it would
        make a later re-drive a double count. So does an event without quantities that no unique
        count looks at. A quantity whose meters all ask for other dimension
        values is read, and adds nothing.

        Args:
            quantities: name to decimal string, as the event carries them.
            dimensions: as the event carries them.
        """
        if not quantities and not self._is_looked_at(dimensions):
            return Quarantine(
                METER_UNKNOWN,
                "quantities is empty, and no meter counts the values of a dimension that the event "
                "carries; apply a catalog with such a meter (unique_count), then re-drive it",
            )
        effects: list[MeterEffect] = []
        for name, text in quantities.items():
            readers = self._readers.get(name)
            if readers is None:
                problem = self._unread(name, text)
                if problem is not None:
                    return problem
                continue
            for meter, where, of, is_count, factor in readers:
                if where and not _matches(where, dimensions):
                    continue
                if of and not dimensions.get(of):
                    continue
                if text.isdecimal() and text.isascii():
                    value = int(text) * factor
                    if value < _SCALED_MAX and len(text) <= QUANTITY_DIGITS_MAX:
                        effects.append((meter, 1 if is_count else value))
                        continue
                scaled = _scale_slowly(name, text, meter=meter)
                if isinstance(scaled, Quarantine):
                    return scaled
                effects.append((meter, scaled))
        for meter, where, of, _, _ in self._every_event:
            if dimensions.get(of) and _matches(where, dimensions):
                effects.append((meter, 1))
        return effects

    def _is_looked_at(self, dimensions: Mapping[str, str]) -> bool:
        """Returns whether a meter that needs no quantity counts a dimension of an event."""
        return any(dimensions.get(reader.of) for reader in self._every_event)

    def _unread(self, name: str, text: str) -> Quarantine | None:
        """Returns why an event waits whose quantity no meter reads; None: a price reads it."""
        if name not in self._money:
            return Quarantine(
                METER_UNKNOWN,
                f"quantities.{name}: no meter reads this quantity; apply a catalog with a "
                f"meter for {name!r}, then re-drive the event",
            )
        try:
            parse_quantity(text)
        except ValidationError as error:
            return Quarantine(error.reason, f"quantities.{name}: {error}")
        return None


def meter_effects(
    quantities: Mapping[str, str], *, dimensions: Mapping[str, str], meters: Iterable[Meter]
) -> list[MeterEffect] | Quarantine:
    """Returns the same as `MeterIndex(meters).effects(…)`, for a single event."""
    return MeterIndex(meters).effects(quantities, dimensions=dimensions)


def _matches(where: tuple[tuple[str, str], ...], dimensions: Mapping[str, str]) -> bool:
    return all(dimensions.get(key) == value for key, value in where)


def _scale_slowly(name: str, text: str, *, meter: Meter) -> int | Quarantine:
    """Scales a value with a point or an unusual length, or says why it cannot be read."""
    try:
        if meter.aggregation in _COUNTING:
            parse_quantity(text)  # It has to be a quantity at all; its digits do not matter.
            return 1
        return scale_quantity(text, decimals=meter.decimals)
    except ValidationError as error:
        return Quarantine(error.reason, f"quantities.{name}: meter {meter.key!r}: {error}")
