"""Commands for the buffer of a dead host: export and import."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from metering.errors import MeteringError

Fail = Callable[[MeteringError], None]

FileArgument = Annotated[Path, typer.Argument(help="The export file.", show_default=False)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="The agent's TOML file.")]
DataDirOption = Annotated[
    Path | None, typer.Option(help="Data directory of the agent.  [default: as `serve`]")
]
InstanceOption = Annotated[str | None, typer.Option(help="Name of the agent's instance.")]


def add_rescue_commands(app: typer.Typer, *, fail: Fail) -> None:
    """Adds the commands.

    Args:
        app: The agent's command line.
        fail: Says an error and ends the process.
    """
    app.command(
        "export",
        epilog="Example:  meter-agent export gpu-7.usage --data-dir /mnt/gpu-7/var/lib/meter-agent",
    )(_export_command(fail))
    app.command(
        "import",
        epilog="Example:  systemctl stop meter-agent; sudo -u meter-agent meter-agent import "
        "gpu-7.usage; systemctl start meter-agent",
    )(_import_command(fail))


def _export_command(fail: Fail) -> Callable[..., None]:
    def export(
        file: FileArgument,
        data_dir: DataDirOption = None,
        salvage: Annotated[  # noqa: FBT002 - a switch of the command line
            bool,
            typer.Option("--salvage", help="Take what is readable of a damaged buffer."),
        ] = False,
        config: ConfigOption = None,
        instance: InstanceOption = None,
    ) -> None:
        """Writes what the server may not have of a dead agent's buffer to FILE.

        The agent must not run. The buffer is not changed; FILE must not exist, and is there whole
        or not at all.
        """
        from meter_agent.bootstrap import agent_version
        from meter_agent.config import load_settings
        from meter_agent.store.rescue import RescueMode, export_buffer

        try:
            settings = load_settings(
                config_file=config, flags={"data_dir": data_dir, "instance": instance}
            )
            summary = export_buffer(
                settings.data_directory,
                file=file,
                mode=RescueMode.SALVAGE if salvage else RescueMode.WHOLE,
                now=datetime.now(UTC),
                agent_version=agent_version(),
            )
        except MeteringError as error:
            fail(error)
            return
        typer.echo(
            f"exported {summary.event_count:,} events in {summary.block_count:,} blocks to {file}"
        )
        if summary.lost_event_count:
            typer.echo(f"{summary.lost_event_count:,} events could not be read")
        if summary.unreadable_commit_count:
            typer.echo(
                f"{summary.unreadable_commit_count:,} commits of the log could not be read, nor "
                "their events counted"
            )

    return export


def _import_command(fail: Fail) -> Callable[..., None]:
    def import_(
        file: FileArgument,
        data_dir: DataDirOption = None,
        salvage: Annotated[  # noqa: FBT002 - a switch of the command line
            bool, typer.Option("--salvage", help="Take what is readable of a damaged file.")
        ] = False,
        disk_budget_bytes: Annotated[
            int | None, typer.Option(help="Bytes that buffered events may take.  [default: 1 GiB]")
        ] = None,
        config: ConfigOption = None,
        instance: InstanceOption = None,
    ) -> None:
        """Appends the events of FILE to this agent's buffer: all of them or none.

        The agent must not run; it ships them at its next start. Each event is counted once, also
        where the dead host comes back, or FILE is imported twice.
        """
        from meter_agent.config import load_settings
        from meter_agent.core.disk_budget import DiskBudget
        from meter_agent.store.rescue import RescueMode, import_file

        try:
            settings = load_settings(
                config_file=config,
                flags={
                    "data_dir": data_dir,
                    "instance": instance,
                    "disk_budget_bytes": disk_budget_bytes,
                },
            )
            summary = import_file(
                settings.data_directory,
                file=file,
                mode=RescueMode.SALVAGE if salvage else RescueMode.WHOLE,
                budget=DiskBudget(settings.disk_budget_bytes),
                now=datetime.now(UTC),
            )
        except MeteringError as error:
            fail(error)
            return
        origin = summary.header.agent_id or f"disk {summary.header.disk_id or 'unknown'}"
        typer.echo(
            f"imported {summary.event_count:,} events in {summary.block_count:,} blocks of {origin}"
        )
        if summary.unreadable_bytes:
            typer.echo(f"{summary.unreadable_bytes:,} bytes of the file could not be read")

    return import_
