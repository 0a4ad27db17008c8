"""One measured figure, and how a table of them is printed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One figure of a measurement."""

    name: str
    """What was measured, with its workload, e.g. "durable events/s, 1,000 a request"."""
    value: float
    """The median of the runs."""
    unit: str
    """E.g. "events/s", "µs", "MB", "×"."""
    goal: str = ""
    """What it should be, e.g. "≥ 30,000"; empty where it is only reported."""
    note: str = ""
    """What it stands beside, e.g. "41 % of an empty handler"."""


def format_rows(title: str, rows: Iterable[BenchRow]) -> str:
    """Returns the rows as a Markdown table, so that it can be pasted into a page."""
    lines = [f"## {title}", "", "| what | measured | goal | beside |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | {_figure(row.value)} {row.unit} | {row.goal} | {row.note} |"
        for row in rows
    ]
    return "\n".join(lines)


def _figure(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
