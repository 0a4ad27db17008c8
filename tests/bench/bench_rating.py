"""How fast prices are rated, beside the same sums in bare decimal arithmetic.

One process, one core, no store. An "update" is what a batch of events does to one running charge:
the quantity becomes a decimal, the compiled price gives the exact amount, and that is rounded to
cents. The bare sums do the same with constants written into the code, without tiers to look up,
modifiers, checks or objects: what no implementation in this language can be quicker than.
"""

import json
import statistics
import time
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.catalog.read_price import read_usage_terms
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes, present
from billing_server.domain.quote import quote_document
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.usage import UsageTerms, usage_terms
from metering.money import EXACT_CONTEXT, round_to_minor
from metering.quantity import unscale_quantity
from tests.bench.row import BenchRow

METER: Final = Meter(key="tokens", quantity="tokens", decimals=3)
CENT: Final = Decimal("0.01")
CALLS: Final = 2_000
QUOTES: Final = 10_000
EVENTS: Final = 1_000
BOUNDS: Final = [Decimal(1_000), Decimal(10_000), Decimal(100_000), Decimal(1_000_000)]
UNIT_PRICES: Final = [Decimal(text) for text in ("0.01", "0.008", "0.006", "0.005", "0.004")]
FLATS: Final = [Decimal(text) for text in ("1", "8", "60", "500", "4000")]
SCALED: Final = [(number * 7_919_993) % 2_000_000_000 for number in range(1, CALLS + 1)]
"""Quantities in thousandths that fall into every tier."""

Bare = Callable[[Decimal], Decimal]


def _tiers(*names: str) -> list[dict[str, str]]:
    """Returns five tiers in the form of a catalog, with these prices."""
    values = {"unit_price": UNIT_PRICES, "rate": UNIT_PRICES, "flat_price": FLATS}
    tiers = [{name: str(values[name][position]) for name in names} for position in range(5)]
    for tier, bound in zip(tiers, BOUNDS, strict=False):
        tier["up_to"] = str(bound)
    return tiers


def _bare_graduated(used: Decimal) -> Decimal:
    amount = low = Decimal(0)
    for bound, price in zip(BOUNDS, UNIT_PRICES, strict=False):
        if used <= bound:
            return amount + (used - low) * price
        amount += (bound - low) * price
        low = bound
    return amount + (used - low) * UNIT_PRICES[-1]


def _bare_volume(used: Decimal) -> Decimal:
    for bound, price in zip(BOUNDS, UNIT_PRICES, strict=False):
        if used <= bound:
            return used * price
    return used * UNIT_PRICES[-1]


def _bare_stairstep(used: Decimal) -> Decimal:
    for bound, flat in zip(BOUNDS, FLATS, strict=False):
        if used <= bound:
            return flat
    return FLATS[-1]


def _bare_packages(used: Decimal) -> Decimal:
    return used // BOUNDS[0] + (1 if used % BOUNDS[0] else 0)


_UNIT_PRICE: Final = Decimal("0.0000025")
_RATE: Final = Decimal("0.012")
_FEE: Final = Decimal("0.10")
_MOST: Final = Decimal(20)
_FREE: Final = Decimal(250)
_MARGIN: Final = Decimal("1.2")
_TWO: Final = Decimal(2)
_FIVE: Final = Decimal(5)
_LESS: Final = Decimal("0.9")
_CAP: Final = Decimal(10_000)

PRICES: Final[dict[str, tuple[dict[str, object], Bare]]] = {
    "flat": ({"model": "flat", "amount": "20"}, lambda used: _MOST if used else used),
    "per_unit": (
        {"model": "per_unit", "unit_price": "0.0000025"},
        lambda used: used * _UNIT_PRICE,
    ),
    "package": (
        {"model": "package", "package_size": "1000", "package_price": "2"},
        lambda used: _bare_packages(used) * _TWO,
    ),
    "graduated, five tiers": (
        {"model": "graduated", "tiers": _tiers("unit_price")},
        _bare_graduated,
    ),
    "volume, five tiers": ({"model": "volume", "tiers": _tiers("unit_price")}, _bare_volume),
    "stairstep, five tiers": (
        {"model": "stairstep", "tiers": _tiers("flat_price")},
        _bare_stairstep,
    ),
    "percentage": ({"model": "percentage", "rate": "0.012"}, lambda used: used * _RATE),
    "graduated_percentage, five tiers": (
        {"model": "graduated_percentage", "tiers": _tiers("rate")},
        _bare_graduated,
    ),
    "per_unit with every modifier": (
        {
            "model": "per_unit",
            "unit_price": "2",
            "convert": {"divide_by": "1000", "round": "up"},
            "included": "5",
            "discount": {"rate": "0.1"},
            "maximum": "10000",
            "minimum": "5",
        },
        lambda used: max(
            _FIVE, min(_CAP, max(_bare_packages(used) - _FIVE, Decimal(0)) * _TWO * _LESS)
        ),
    ),
}


def _bare_percentage(amounts: list[Decimal]) -> Decimal:
    total, left = Decimal(0), _FREE
    for amount in amounts:
        if amount <= left:
            left -= amount
            continue
        total += min((amount - left) * _RATE + _FEE, _MOST)
        left = Decimal(0)
    return total


BY_EVENT: Final[dict[str, tuple[dict[str, object], Callable[[list[Decimal]], Decimal]]]] = {
    "percentage with a fee, a free amount and a most": (
        {
            "model": "percentage",
            "rate": "0.012",
            "fixed_per_event": "0.10",
            "free_amount": "250",
            "maximum_per_event": "20",
        },
        _bare_percentage,
    ),
    "dynamic": (
        {"model": "dynamic", "amount": "cost", "multiplier": "1.2"},
        lambda amounts: sum(amounts, Decimal(0)) * _MARGIN,
    ),
}


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about half of `seconds`."""
    rows = [
        _update_row(name, fields, bare, seconds=seconds) for name, (fields, bare) in PRICES.items()
    ]
    rows += [
        _event_row(name, fields, bare, seconds=seconds) for name, (fields, bare) in BY_EVENT.items()
    ]
    rows.append(_quote_row())
    return rows


def _update_row(name: str, fields: dict[str, object], bare: Bare, *, seconds: float) -> BenchRow:
    terms = _terms(fields)
    # What stands beside it has to be the same sum, or the ratio would say nothing.
    quantities = [unscale_quantity(scaled, decimals=3) for scaled in SCALED]
    with localcontext(EXACT_CONTEXT):
        assert [terms.rate(used) for used in quantities] == [bare(used) for used in quantities]
    ours = _microseconds(lambda: _update_all(terms), calls=CALLS, seconds=seconds)
    beside = _microseconds(lambda: _bare_all(bare), calls=CALLS, seconds=seconds)
    goal = "≤ 30" if "five" in name else ""
    return BenchRow(f"update of a running charge: {name}", ours, "µs", goal, _beside(ours, beside))


def _event_row(
    name: str,
    fields: dict[str, object],
    bare: Callable[[list[Decimal]], Decimal],
    *,
    seconds: float,
) -> BenchRow:
    terms = _terms(fields)
    amounts = [unscale_quantity(scaled, decimals=6) for scaled in SCALED[:EVENTS]]
    events = [EventUsage(amount, amount) for amount in amounts]

    def bare_in_context() -> Decimal:
        with localcontext(EXACT_CONTEXT):
            return bare(amounts)

    assert terms.rate_events(events) == bare_in_context()
    ours = _microseconds(lambda: terms.rate_events(events), calls=EVENTS, seconds=seconds)
    beside = _microseconds(bare_in_context, calls=EVENTS, seconds=seconds)
    return BenchRow(
        f"rating by event, each of {EVENTS:,}: {name}", ours, "µs", "", _beside(ours, beside)
    )


def _beside(ours: float, bare: float) -> str:
    return f"{ours / bare:.1f} × the bare sums, which take {bare:.2f} µs"


def _quote_row() -> BenchRow:
    """Quotes as a file of JSON Lines, read, rated, explained and written again."""
    price = {"model": "graduated", "tiers": _tiers("unit_price"), "included": "100"}
    text = "\n".join(
        json.dumps({"currency": "USD", "price": price, "quantity": str(number * 37)})
        for number in range(QUOTES)
    )
    times = []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        report = quote_document(text, name="quotes.jsonl")
        written = [json.dumps(result) for result in report.results]
        times.append((time.perf_counter() - wall, time.process_time() - processor))
        assert report.is_ok
        assert len(written) == QUOTES
    wall, processor = min(times)
    note = f"{processor:.2f} s of processor time"
    return BenchRow(f"quote of {QUOTES:,} lines of five tiers", wall, "s", "≤ 3", note)


def _terms(fields: dict[str, object]) -> UsageTerms:
    reader = FieldReader(node_from_plain(fields), path="", mistakes=Mistakes("bench"))
    return usage_terms(present(read_usage_terms(reader, key="p", meter="tokens")), meter=METER)


def _update_all(terms: UsageTerms) -> None:
    for scaled in SCALED:
        round_to_minor(terms.rate(unscale_quantity(scaled, decimals=3)), digits=2)


def _bare_all(bare: Bare) -> None:
    with localcontext(EXACT_CONTEXT) as context:
        context.clear_traps()
        for scaled in SCALED:
            bare(Decimal(scaled).scaleb(-3)).quantize(CENT, rounding=ROUND_HALF_UP)


def _microseconds(work: Callable[[], object], *, calls: int, seconds: float) -> float:
    """Returns the median processor time of one call in microseconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds / 4
    while len(times) < 5 or time.perf_counter() < end:
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / calls * 1e6)
    return statistics.median(times)
