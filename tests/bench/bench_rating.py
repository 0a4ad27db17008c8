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
TIERS: Final = [
    {"up_to": "1000", "unit_price": "0.01", "flat_price": "1"},
    {"up_to": "10000", "unit_price": "0.008"},
    {"up_to": "100000", "unit_price": "0.006"},
    {"up_to": "1000000", "unit_price": "0.005"},
    {"unit_price": "0.004"},
]
RATES: Final = [
    {"up_to": "1000", "rate": "0.01", "flat_price": "1"},
    {"up_to": "10000", "rate": "0.008"},
    {"rate": "0.004"},
]
FLATS: Final = [{"up_to": "1000", "flat_price": "1"}, {"flat_price": "20"}]
SCALED: Final = [(number * 7_919_993) % 2_000_000_000 for number in range(1, CALLS + 1)]
"""Quantities in thousandths that fall into every tier."""

Bare = Callable[[Decimal], Decimal]


def _bare_graduated(used: Decimal) -> Decimal:
    amount = Decimal(1)
    low = Decimal(0)
    for bound, price in _BARE_TIERS:
        if bound is None or used <= bound:
            return amount + (used - low) * price
        amount += (bound - low) * price
        low = bound
    return amount


_BARE_TIERS: Final[list[tuple[Decimal | None, Decimal]]] = [
    (Decimal(1000), Decimal("0.01")),
    (Decimal(10000), Decimal("0.008")),
    (Decimal(100000), Decimal("0.006")),
    (Decimal(1000000), Decimal("0.005")),
    (None, Decimal("0.004")),
]
_UNIT: Final = Decimal("0.0000025")
_SIZE: Final = Decimal(1000)
_TWO: Final = Decimal(2)


def _bare_volume(used: Decimal) -> Decimal:
    for bound, price in _BARE_TIERS:
        if bound is None or used <= bound:
            return used * price
    return used


PRICES: Final[dict[str, tuple[dict[str, object], Bare]]] = {
    "flat": ({"model": "flat", "amount": "25"}, lambda used: Decimal(25) if used else used),
    "per_unit": ({"model": "per_unit", "unit_price": "0.0000025"}, lambda used: used * _UNIT),
    "package": (
        {"model": "package", "package_size": "1000", "package_price": "2"},
        lambda used: (used // _SIZE + bool(used % _SIZE)) * _TWO,
    ),
    "graduated, five tiers": ({"model": "graduated", "tiers": TIERS}, _bare_graduated),
    "volume, five tiers": ({"model": "volume", "tiers": TIERS}, _bare_volume),
    "stairstep": (
        {"model": "stairstep", "tiers": FLATS},
        lambda used: Decimal(1) if used <= _SIZE else Decimal(20),
    ),
    "percentage": ({"model": "percentage", "rate": "0.012"}, lambda used: used * _UNIT),
    "graduated_percentage, three tiers": (
        {"model": "graduated_percentage", "tiers": RATES},
        _bare_graduated,
    ),
    "per_unit with every modifier": (
        {
            "model": "per_unit",
            "unit_price": "0.01",
            "convert": {"divide_by": "1000", "round": "up"},
            "included": "5",
            "discount": {"rate": "0.1"},
            "maximum": "10000",
            "minimum": "5",
        },
        lambda used: max(
            _TWO, min(_SIZE, (used // _SIZE + bool(used % _SIZE) - _TWO) * _UNIT * _UNIT)
        ),
    ),
}


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds at most."""
    rows = [
        _update_row(name, fields, bare, seconds=seconds) for name, (fields, bare) in PRICES.items()
    ]
    rows += [_event_row(name, fields, seconds=seconds) for name, fields in BY_EVENT.items()]
    rows.append(_quote_row())
    return rows


def _update_row(name: str, fields: dict[str, object], bare: Bare, *, seconds: float) -> BenchRow:
    terms = _terms(fields)
    ours = _microseconds(lambda: _update_all(terms), calls=CALLS, seconds=seconds)
    beside = _microseconds(lambda: _bare_all(bare), calls=CALLS, seconds=seconds)
    goal = "≤ 30" if "five" in name else ""
    note = f"{ours / beside:.1f} × the bare sums, which take {beside:.2f} µs"
    return BenchRow(f"update of a running charge: {name}", ours, "µs", goal, note)


BY_EVENT: Final[dict[str, dict[str, object]]] = {
    "percentage with fee and free amount": {
        "model": "percentage",
        "rate": "0.012",
        "fixed_per_event": "0.10",
        "free_amount": "250",
        "maximum_per_event": "20",
    },
    "dynamic": {"model": "dynamic", "amount": "cost", "multiplier": "1.2"},
}


def _event_row(name: str, fields: dict[str, object], *, seconds: float) -> BenchRow:
    terms = _terms(fields)
    events = [
        EventUsage(unscale_quantity(scaled, decimals=6), unscale_quantity(scaled, decimals=6))
        for scaled in SCALED[:EVENTS]
    ]

    def bare() -> None:
        with localcontext(EXACT_CONTEXT):
            total = Decimal(0)
            for event in events:
                total += event.amount * _UNIT + CENT

    ours = _microseconds(lambda: terms.rate_events(events), calls=EVENTS, seconds=seconds)
    beside = _microseconds(bare, calls=EVENTS, seconds=seconds)
    note = f"{ours / beside:.1f} × the bare sums, which take {beside:.2f} µs"
    return BenchRow(f"rating by event, each of {EVENTS:,}: {name}", ours, "µs", "", note)


def _quote_row() -> BenchRow:
    """Quotes as a file of JSON Lines, read, rated, explained and written again."""
    price = {"model": "graduated", "tiers": TIERS, "included": "100"}
    text = "\n".join(
        json.dumps({"currency": "USD", "price": price, "quantity": str(number * 37)})
        for number in range(QUOTES)
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        report = quote_document(text, name="quotes.jsonl")
        written = [json.dumps(result) for result in report.results]
        times.append(time.perf_counter() - start)
        assert report.is_ok
        assert len(written) == QUOTES
    return BenchRow(f"quote of {QUOTES:,} lines of five tiers", min(times), "s", "≤ 3")


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
