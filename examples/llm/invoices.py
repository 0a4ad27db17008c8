"""Prints the demo's invoices and compares them with the independent recomputation."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.llm.recompute import Usage, expected_invoices

Invoices = Sequence[dict]
"""Invoices in the product's JSON form."""


def print_invoices(invoices: Invoices, *, show_one: Callable[[str], str]) -> None:
    """Prints one periodic invoice whole, and a table of all."""
    periodic = [invoice for invoice in invoices if invoice["reason"] == "periodic"]
    if periodic:
        print(show_one(periodic[0]["number"]))
    table = Table("number", "customer", "reason", "period", "total", title="invoices")
    for invoice in sorted(invoices, key=lambda invoice: invoice["number"]):
        period = f"{invoice['period']['start']} – {invoice['period']['end']}"
        total = f"{invoice['total']} {invoice['currency']}"
        table.add_row(invoice["number"], invoice["customer"], invoice["reason"], period, total)
    Console().print(table)


def compare(
    invoices: Invoices,
    *,
    catalog_path: Path,
    traces: Sequence[tuple[Path, str]],
    subscribed_at: datetime,
    customer_count: int,
    metered: Mapping[str, Usage],
) -> bool:
    """Prints every total beside one computed from the traffic; tells whether all are equal."""
    billed = {
        (invoice["customer"], invoice["reason"]): _minor(invoice["total"]) for invoice in invoices
    }
    expected = {
        (customer_id, reason): amount
        for customer_id, amounts in expected_invoices(
            catalog_path,
            traces=traces,
            subscribed_at=subscribed_at,
            customer_count=customer_count,
            metered=metered,
        ).items()
        for reason, amount in (
            ("start", amounts.start_minor),
            ("periodic", amounts.periodic_minor),
        )
    }
    table = Table("customer", "invoice", "billed", "recomputed from the traffic", "", title="check")
    for key in sorted(billed.keys() | expected.keys()):
        mark = "equal" if billed.get(key) == expected.get(key) else "DIFFERENT"
        table.add_row(*key, _major(billed.get(key)), _major(expected.get(key)), mark)
    Console().print(table)
    is_equal = billed == expected and len(billed) == len(invoices)
    total = _major(sum(billed.values()))
    verdict = "equal to the cent" if is_equal else "NOT equal"
    print(f"{len(invoices)} invoices, {total} in all: {verdict}")
    return is_equal


def _minor(text: str) -> int:
    return int(text.replace(".", ""))


def _major(minor: int | None) -> str:
    return "none" if minor is None else f"{minor // 100}.{minor % 100:02d}"
