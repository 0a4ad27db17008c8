"""Computes the demo's invoices a second time, from the traces, without the product's code.

Plain fractions, the standard library's calendar, and the rules as a finance person would write
them down. The demo compares its result with the server's, to the cent.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

Usage = dict[tuple[str, str], int]
"""(quantity name, model) -> units used by one customer."""


@dataclass(frozen=True)
class Expected:
    """What one customer must be invoiced, in cents."""

    start_minor: int
    """The invoice at the subscription's start: the first month's share of the base fee."""
    periodic_minor: int
    """The invoice at the month's end: usage of the month and the next month's base fee."""


def half_up(exact: Fraction) -> int:
    """Rounds a non-negative fraction to the nearest integer, halves up."""
    return int(exact + Fraction(1, 2))


def usage_by_customer(
    traces: Sequence[tuple[Path, str]], *, customer_count: int
) -> dict[str, Usage]:
    """Adds the traces up: row n belongs to `customer-{n mod customer_count}`."""
    totals: dict[str, Usage] = defaultdict(lambda: defaultdict(int))
    for path, model in traces:
        with path.open(newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines)):
                usage = totals[f"customer-{number % customer_count}"]
                usage["input_tokens", model] += int(row["ContextTokens"])
                usage["output_tokens", model] += int(row["GeneratedTokens"])
                usage["requests", model] += 1
    return totals


def month_share(at: datetime, *, timezone: str) -> Fraction:
    """Returns the share of the customer's calendar month that is left at `at`, by the second."""
    zone = ZoneInfo(timezone)
    local = at.astimezone(zone)
    first = datetime(local.year, local.month, 1, tzinfo=zone).astimezone(UTC)
    following = datetime(
        local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone
    ).astimezone(UTC)
    return Fraction(
        int((following - at.astimezone(UTC)).total_seconds()),
        int((following - first).total_seconds()),
    )


def usage_cents(price: dict, usage: Usage, *, share: Fraction) -> int:
    """Rates one price on what its meter counted, and rounds once."""
    model = price.get("where", {}).get("model")
    quantity = sum(
        units
        for (name, used_model), units in usage.items()
        if name == price["meter"] and model in {None, used_model}
    )
    included = half_up(Fraction(price.get("included", "0")) * share)
    billable = max(0, quantity - included)
    tiers = price.get("tiers") or [{"unit_price": price["unit_price"]}]
    amount, lower = Fraction(0), 0
    for tier in tiers:
        upper = int(tier["up_to"]) if "up_to" in tier else billable
        amount += max(0, min(billable, upper) - lower) * Fraction(tier["unit_price"])
        lower = upper
    return half_up(amount * 100)


def expected_invoices(
    catalog_path: Path,
    *,
    traces: Sequence[tuple[Path, str]],
    subscribed_at: datetime,
    customer_count: int,
    metered: Mapping[str, Usage],
) -> dict[str, Expected]:
    """Returns what every customer of the demo's catalog must be invoiced.

    `metered` is, by customer, what was used outside the traces.
    """
    catalog = yaml.safe_load(catalog_path.read_text())
    prices = catalog["plans"][0]["prices"]
    usage = {**usage_by_customer(traces, customer_count=customer_count), **metered}
    expected = {}
    for customer in catalog["customers"]:
        share = month_share(subscribed_at, timezone=customer["timezone"])
        fee = sum(Fraction(price["amount"]) for price in prices if price["kind"] == "recurring")
        used = usage[customer["id"]]
        lines = [
            usage_cents(price, used, share=share) for price in prices if price["kind"] == "usage"
        ]
        expected[customer["id"]] = Expected(
            start_minor=half_up(fee * share * 100),
            periodic_minor=sum(lines) + half_up(fee * 100),
        )
    return expected
