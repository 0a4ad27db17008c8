"""`billing-server simulate`: plays a scenario on a test clock in memory, prints every invoice."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_server.cli.catalog import read_text
from billing_server.cli.invoice_text import invoice_text
from billing_server.cli.logs import LogLevel, configure_logs

if TYPE_CHECKING:
    from billing_server.services.scenario import Scenario


def simulate_command(
    file: Annotated[Path, typer.Argument(help="Scenario (YAML or JSON); - reads stdin.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Play a scenario with the server's own engine and print what it comes to.

    Needs no server and no database. The same file gives the same bytes.

    Example: billing-server simulate scenario.yaml --json
    """
    from billing_server.bootstrap import simulate

    # The engine's log is the server's; here the report alone is wanted.
    configure_logs(LogLevel.WARNING)
    text = read_text(file)
    with _progress() as on_progress:
        report = simulate(text, name=str(file), on_progress=on_progress)
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print("\n".join(report_text(report)))


def report_text(report: dict[str, Any]) -> Iterator[str]:
    """Return what happened as a timeline, with each invoice whole where it was issued."""
    invoices = {invoice["number"]: invoice for invoice in report["invoices"]}
    for event in report["events"]:
        details = " ".join(
            f"{key}={value}" for key, value in event.items() if key not in {"time", "event"}
        )
        yield f"{event['time']}  {event['event']}  {details}"
        if event["event"] == "invoice.issued":
            yield invoice_text(invoices[event["invoice"]])


@contextmanager
def _progress() -> Iterator[Callable[[datetime, "Scenario"], None]]:
    """Show how far the clock has come, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _at, _scenario: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=None)

        def show(at: datetime, scenario: "Scenario") -> None:
            total = (scenario.until - scenario.start).total_seconds()
            done = (at - scenario.start).total_seconds()
            progress.update(task, total=total, completed=done)

        yield show
