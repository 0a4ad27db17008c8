"""`billing-server simulate`: plays a scenario on a test clock in memory, prints every invoice."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from billing_server.cli.catalog import read_text
from billing_server.cli.invoice_text import invoice_text
from billing_server.cli.logs import LogLevel, configure_logs
from billing_server.domain.invoice.calculation import readable, readable_numbers
from metering.errors import ValidationError

USAGE_FILE_BYTES_MAX = 64 * 1024 * 1024
"""Largest file of usage; 100,000 events are far less."""
SENTENCES: Final[Mapping[str, str]] = {
    "catalog.changed": "catalog: {change}",
    "customer.created": "customer {customer} is there",
    "subscription.created": "customer {customer} subscribes to {plan} ({subscription})",
    "usage.received": "usage of customer {customer}: {used}, {span}",
    "usage.late": "late usage of customer {customer}: {used}, {span}",
    "usage.quarantined": "event {event_id} of customer {customer} waits: {reason}",
    "usage.voided": "event {event_id} of customer {customer} counts nothing from now on",
    "usage.amended": "event {event_id} of customer {customer} is amended",
    "usage.adjusted": "{meter} of customer {customer} is adjusted by {quantity}",
    "subscription.move_version": "{subscription} changes version {version} on {effective}",
    "subscription.override": "{subscription} has its own terms for price {price}: {set}",
    "subscription.add_addon": "{subscription} gets add-on {addon}",
    "subscription.remove_addon": "{subscription} loses add-on {addon}",
    "usage.unpriced": "no price for {usage} of customer {customer}: see alerts",
    "usage.priced": "there is a price for {usage} of customer {customer} now",
    "usage.held_back": "owed to customer {customer}: {amount}, for usage of invoiced periods "
    "that was taken back; it stands on no invoice",
    "invoice.issued": "invoice {invoice} to customer {customer} ({reason}): {total}",
}
"""Kind of an event to its sentence; others are told by their fields."""

if TYPE_CHECKING:
    from billing_server.services.scenario import Scenario


def simulate_command(
    files: Annotated[list[Path], typer.Argument(help="Scenarios (YAML or JSON); - reads stdin.")],
    *,
    usage: Annotated[
        list[Path] | None,
        typer.Option("--usage", help="Usage from a CSV or trace file; may stand several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Play scenarios with the server's own engine and print what they come to.

    Needs no server and no database. The same file gives the same bytes. Several scenarios are
    played one by one; as JSON they are a list.

    Example: billing-server simulate scenario.yaml --usage january.csv
    """
    # The engine's log is the server's; here the report alone is wanted.
    configure_logs(LogLevel.WARNING)
    reports = []
    for file in files:
        report = _report(file, usage_files=[str(path.resolve()) for path in usage or ()])
        if as_json:
            reports.append(report)
            continue
        if len(files) > 1:
            print(f"{'' if file is files[0] else chr(10)}══ {file}")
        print("\n".join(report_text(report)))
    if as_json:
        shown = reports[0] if len(files) == 1 else reports
        print(json.dumps(shown, indent=2, ensure_ascii=False))


def _report(file: Path, *, usage_files: list[str]) -> dict[str, Any]:
    from billing_server.bootstrap import simulate

    with _progress() as on_progress:
        return simulate(
            read_text(file),
            name=str(file),
            on_progress=on_progress,
            read_file=partial(read_usage_bytes, beside=file.parent),
            usage_files=usage_files,
        )


def read_usage_bytes(path: str, *, beside: Path) -> bytes:
    """Return the bytes of a file of usage that a scenario names.

    Args:
        path: absolute, or relative to the scenario.
        beside: the scenario's directory.

    Raises:
        ValidationError: FILE_UNREADABLE, FILE_TOO_LARGE.
    """
    found = beside / path
    try:
        if found.stat().st_size > USAGE_FILE_BYTES_MAX:
            raise ValidationError(
                reason="FILE_TOO_LARGE",
                message=f"{found}: is larger than {USAGE_FILE_BYTES_MAX:,} bytes; play it in parts",
            )
        return found.read_bytes()
    except OSError as error:
        raise ValidationError(
            reason="FILE_UNREADABLE", message=f"{found}: cannot be read: {error.strerror}"
        ) from error


def report_text(report: dict[str, Any]) -> Iterator[str]:
    """Return what happened as a timeline, with each invoice whole where it was issued."""
    invoices = {invoice["number"]: invoice for invoice in report["invoices"]}
    for event in report["events"]:
        yield f"{event['time']}  {event_sentence(event)}"
        if event["event"] == "invoice.issued":
            yield invoice_text(invoices[event["invoice"]])
    yield from _closing_lines(report)


def event_sentence(event: dict[str, str]) -> str:
    """Return one event of a timeline in words."""
    template = SENTENCES.get(event["event"])
    if template is not None:
        return template.format_map(event | _usage_words(event))
    details = " ".join(
        f"{key}={value}" for key, value in event.items() if key not in {"time", "event"}
    )
    return f"{event['event']} {details}".rstrip()


def _usage_words(event: dict[str, str]) -> dict[str, str]:
    """Return the words for usage that was heard of; none for other events."""
    if "used" not in event:
        return {}
    first, last, count = event["first"], event["last"], event["event_count"]
    span = f"at {first}" if first == last else f"{first} – {last}"
    events = "1 event" if count == "1" else f"{readable(count)} events"
    return {"used": readable_numbers(event["used"]), "span": f"{events} {span}"}


def _closing_lines(report: dict[str, Any]) -> Iterator[str]:
    """Return what each customer was invoiced in all, and what of it is unpaid."""
    totals: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for invoice in report["invoices"]:
        totals[invoice["customer"], invoice["currency"]].append(Decimal(invoice["total"]))
    for (customer, currency), amounts in sorted(totals.items()):
        count = len(amounts)
        yield (
            f"{customer}: {count} invoice{'' if count == 1 else 's'}, "
            f"{readable(format(sum(amounts), 'f'))} {currency} in all"
        )


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
