"""Progress on a terminal, silence in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from metering.client.stats import MeterStats

REFRESHES_PER_SECOND = 8


@contextmanager
def replay_progress(
    title: str, *, row_count: int, console: Console
) -> Iterator[Callable[[MeterStats], None]]:
    """Shows a bar of what the agent has answered for, where the console is a terminal.

    Args:
        title: Stands before the bar.
        row_count: Rows in all. >= 1.
        console: Where to draw.

    Yields:
        What to call with the meter's counts.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        disable=not console.is_terminal,
    )
    task = progress.add_task(title, total=row_count, note="")

    def show(stats: MeterStats) -> None:
        progress.update(task, completed=stats.accepted + stats.rejected, note=_note(stats))

    with progress:
        yield show


def _note(stats: MeterStats) -> str:
    parts = []
    if stats.rejected:
        parts.append(f"{stats.rejected} refused")
    if stats.retries:
        parts.append(f"{stats.retries} retries")
    return ", ".join(parts)
