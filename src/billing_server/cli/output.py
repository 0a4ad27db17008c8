"""How the commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
"""Columns of a table where there is no terminal to ask."""


def console() -> Console:
    """Return where tables go; in a pipe it is plain text of a fixed width."""
    found = Console()
    return found if found.is_terminal else Console(width=PIPE_WIDTH)


def print_json(value: object) -> None:
    """Print a value as JSON, keys in their own order."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(
    title: str,
    *,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Sequence[str] = (),
    empty: str = "none",
) -> None:
    """Print a table, or one line where it would be empty.

    Args:
        title: what the rows are.
        columns: their headings.
        rows: their cells; None is printed as a dash.
        right: headings of the columns that are aligned to the right.
        empty: what is printed after the title where there are no rows.
    """
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        # As plain text: a name such as `[Inc.]` is no markup.
        table.add_row(*(Text("–" if cell is None else str(cell)) for cell in row))
    if table.row_count == 0:
        console().print(f"{title}: {empty}", markup=False)
        return
    console().print(table)
