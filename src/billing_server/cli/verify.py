"""`billing-server verify`: the caches of usage against the stored events."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_server.cli.output import print_json
from billing_server.config import load_settings

if TYPE_CHECKING:
    from billing_server.services.verify_report import VerifyMode, VerifyReport


def verify_command(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make anew what differs. Default: only tell.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the data lives, as for serve.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="sqlite:///PATH or postgresql://…, as for serve.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with these settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count all usage anew from the stored events and compare it with what is kept of it.

    Works on the database itself: on SQLite the server has to be stopped meanwhile. After a repair
    all is checked again. The exit code is 1 where something differs and was not repaired.

    Example: billing-server verify --data-dir ./data
    """
    from billing_server.bootstrap import verify_database
    from billing_server.services.verify_usage import VerifyMode

    settings = load_settings(
        config=config, overrides={"data_dir": data_dir, "database_url": database_url}
    )
    mode = VerifyMode.REPAIR if repair else VerifyMode.REPORT
    report = verify_database(settings, mode=mode)
    if as_json:
        print_json(_report_to_dict(report))
    else:
        print("\n".join(_lines_of_report(report, mode=mode)))
    if report.left or (report.difference_count and not repair):
        raise typer.Exit(1)


def _report_to_dict(report: "VerifyReport") -> dict[str, Any]:
    return {
        "events": report.event_count,
        "buckets": report.bucket_count,
        "charges": report.charge_count,
        "differences": report.difference_count,
        "repaired": report.repaired_count,
        "first_differences": report.differences,
        "left": report.left,
        "unrated": list(report.unrated.values()),
    }


def _lines_of_report(report: "VerifyReport", *, mode: "VerifyMode") -> Iterator[str]:
    yield from report.differences
    untold = report.difference_count - len(report.differences)
    if untold:
        yield f"… and {_counted(untold, 'more difference')}"
    yield from report.unrated.values()
    for line in report.left:
        yield f"not repaired: {line}"
    repaired = f", {report.repaired_count} repaired" if mode.value == "repair" else ""
    yield (
        f"{_counted(report.event_count, 'event')}, "
        f"{_counted(report.bucket_count, 'minute bucket')} and "
        f"{_counted(report.charge_count, 'running charge')} checked: "
        f"{_counted(report.difference_count, 'difference')}{repaired}"
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
