"""`billing-server verify`: the caches of usage against the stored events."""

from pathlib import Path
from typing import Annotated

import typer

from billing_server.cli.output import print_json
from billing_server.config import load_settings


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

    Works on the database itself: on SQLite the server has to be stopped meanwhile. The exit code is
    1 where something differs and was not repaired.

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
        print_json(
            {
                "events": report.event_count,
                "buckets": report.bucket_count,
                "charges": report.charge_count,
                "differences": report.difference_count,
                "repaired": report.repaired_count,
                "first_differences": report.differences,
            }
        )
    else:
        for line in report.differences:
            print(line)
        print(
            f"{report.event_count} events, {report.bucket_count} minute buckets and "
            f"{report.charge_count} running charges checked: {report.difference_count} differences"
            + (f", {report.repaired_count} repaired" if repair else "")
        )
    if report.difference_count and not repair:
        raise typer.Exit(1)
