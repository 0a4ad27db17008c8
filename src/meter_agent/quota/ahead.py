"""How far a customer may be ahead of the place that the server's prices were told for.

Under a limit of money a call's cost depends on where the customer stands. The server tells prices
from the usage that it had heard of; what this agent holds, or recorded and has not shipped by
then, lies ahead of it.
"""

from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

ENTRY_COUNT_MAX: Final = 256
"""Entries kept by themselves; more are joined, and are then forgotten together."""
UNKNOWN: Final = Decimal(10) ** 18
"""Further than any price step: after a restart, until the server tells the prices anew."""

_Quantities = Mapping[str, Decimal]


class Ahead:
    """What one customer holds and has used since."""

    __slots__ = ("_entries", "_held", "_is_known", "_used")

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._entries: deque[tuple[int, dict[str, Decimal]]] = deque()
        self._is_known = True

    def forget_place(self) -> None:
        """Notes that nobody knows how far it is: the prices are of an earlier process."""
        self._is_known = False

    def hold(self, quantities: _Quantities) -> None:
        """Adds what a reservation may use."""
        _add(self._held, quantities, sign=1)

    def unhold(self, quantities: _Quantities) -> None:
        """Takes off what a reservation that has ended could have used."""
        _add(self._held, quantities, sign=-1)

    def use(self, quantities: _Quantities, *, seq: int) -> None:
        """Adds usage.

        Args:
            quantities: As recorded.
            seq: A position at or above that of its event.
        """
        _add(self._used, quantities, sign=1)
        if self._entries and (self._entries[-1][0] == seq or len(self._entries) >= ENTRY_COUNT_MAX):
            _, last = self._entries.pop()
            quantities = {
                name: last.get(name, Decimal(0)) + quantities.get(name, Decimal(0))
                for name in {*last, *quantities}
            }
        self._entries.append((seq, dict(quantities)))

    def told(self, *, applied_seq: int) -> None:
        """Notes that the server told prices anew.

        Args:
            applied_seq: Position that the server had applied when it was asked.
        """
        self._is_known = True
        while self._entries and self._entries[0][0] <= applied_seq:
            _, quantities = self._entries.popleft()
            _add(self._used, quantities, sign=-1)

    def quantities(self, names: Mapping[str, object]) -> dict[str, Decimal]:
        """Returns how far it may be ahead, for the quantities of a call."""
        if not self._is_known:
            return dict.fromkeys(names, UNKNOWN)
        return {name: Decimal(self._held[name]) + Decimal(self._used[name]) for name in names}


def _add(sums: "Counter[str]", quantities: _Quantities, *, sign: int) -> None:
    for name, value in quantities.items():
        sums[name] += sign * value  # type: ignore[assignment]  # exact decimals, not counts
