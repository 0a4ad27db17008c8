"""Limits whose terms let them be passed: by how much they were, beside what the bound allows.

The same callers, cuts and kills as in the experiment. What was used is counted by the books; the
bound of `docs/concepts/quota.md` is worked out beforehand from the terms, but for money, where it
is what the server publishes as `estimate_error`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tests.bench.quota import reclaim
from tests.bench.quota.calls import Call
from tests.bench.quota.experiment import HOSTS, LARGEST_CALLS_IN_LIMIT, play
from tests.bench.quota.leases import FLAT, Leases
from tests.bench.row import BenchRow

DEMAND: Final = 3
"""What is asked for, in limits."""
ALLOWANCE_CALLS: Final = 2
_MICRO: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassableTerms:
    """A limit that may be passed."""

    name: str
    """For the table."""
    terms: str
    """Fields of the limit."""
    price: str = FLAT
    """Fields of the price of a token."""
    limit: Decimal
    """In its unit."""
    unit: str
    """Tokens or money."""
    amount_of: Callable[[int], Decimal]
    """What so many tokens are of the limit."""
    excess_of: Callable[[Mapping[str, Any]], Decimal]
    """By how much it may be passed, from its view at the end."""


class _Watched(Leases):
    """Keeps the last view of the limit; what is leased of money are no tokens."""

    last_view: Mapping[str, Any]

    def leased(self) -> Mapping[int, int]:
        return dict.fromkeys(range(HOSTS), 0)

    def known_use(self) -> int:
        self.last_view = self.view()
        return 0


def measure(*, calls: Sequence[Call], seed: int = 1) -> list[BenchRow]:
    """Plays each of the terms once; returns what was used beyond the limit, and the bound."""
    rows: list[BenchRow] = []
    largest = max(call.reserved for call in calls)
    for terms in passable_terms(largest=largest):
        design = _Watched(host_count=HOSTS, terms=terms.terms, price=terms.price)
        outcome = play(design, calls=calls, demand=DEMAND, seed=seed)
        used, view = terms.amount_of(outcome.used), design.last_view
        excess = max(used - terms.limit, Decimal(0))
        counted = "equal" if Decimal(view["used"]) == used else view["used"]
        rows += [
            BenchRow(
                f"{terms.name}: used beyond the limit of {terms.limit:,}",
                float(excess),
                terms.unit,
                f"≤ {terms.excess_of(view):,f}",
                f"{excess:,f}; server's count {counted}, its bound {view['bound']}; "
                f"{sum(outcome.faults.values())} faults",
            )
        ]
    return [*rows, reclaim.measure(largest=largest)]


def passable_terms(*, largest: int) -> tuple[PassableTerms, ...]:
    """Returns the terms, for a limit of so many of the largest calls.

    Args:
        largest: tokens of the largest call.
    """
    limit = largest * LARGEST_CALLS_IN_LIMIT
    allowance = largest * ALLOWANCE_CALLS
    cheap = limit // 2
    unit = f'meter: tokens, max: "{limit}", enforcement: hard'
    money = limit * _MICRO

    def rated(tokens: int) -> Decimal:
        return (tokens + max(tokens - cheap, 0)) * _MICRO

    return (
        PassableTerms(
            name=f"allowance of {allowance:,} tokens an agent",
            terms=f'{unit}, when_offline: allowance, allowance: "{allowance}"',
            limit=Decimal(limit),
            unit="tokens",
            amount_of=Decimal,
            excess_of=lambda view: Decimal(HOSTS * allowance),
        ),
        PassableTerms(
            name="spend cap, the price of a token doubles behind half of it",
            terms=f'amount: "{money}", enforcement: hard',
            price=f'model: graduated, tiers: [{{up_to: "{cheap}", unit_price: "0.000001"}}, '
            '{unit_price: "0.000002"}]',
            limit=money,
            unit="USD",
            amount_of=rated,
            excess_of=lambda view: Decimal(view["estimate_error"]),
        ),
    )
