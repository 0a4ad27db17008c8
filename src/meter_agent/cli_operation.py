"""Commands for whoever operates the agent: doctor and tail."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from meter_agent.cli_options import (
    JoinTokenFileOption,
    ServerCaOption,
    ServerOption,
    TlsCertOption,
    TlsKeyOption,
    TlsOption,
    TokenFileOption,
)
from metering.errors import MeteringError

Fail = Callable[[MeteringError], None]

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The agent's TOML file.")]
DataDirOption = Annotated[
    Path | None, typer.Option(help="The agent's data directory.  [default: as `serve`]")
]
InstanceOption = Annotated[str | None, typer.Option(help="Name of the agent's instance.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_operation_commands(app: typer.Typer, *, fail: Fail) -> None:
    """Adds the commands.

    Args:
        app: The agent's command line.
        fail: Says an error and ends the process.
    """
    app.command(
        "doctor",
        epilog="Example:  sudo -u meter-agent meter-agent doctor --config /etc/meter-agent/"
        "agent.toml",
    )(_doctor_command(fail))
    app.command(
        "tail", epilog="Example:  meter-agent tail --customer acme --json | jq .quantities"
    )(_tail_command(fail))


def _doctor_command(fail: Fail) -> Callable[..., None]:
    def doctor(
        as_json: JsonOption = False,  # noqa: FBT002 - a switch of the command line
        listen: Annotated[
            list[str] | None, typer.Option(help="Address of the agent as `serve` has it.")
        ] = None,
        data_dir: DataDirOption = None,
        server: ServerOption = None,
        token_file: TokenFileOption = None,
        join_token_file: JoinTokenFileOption = None,
        tls: TlsOption = None,
        server_ca: ServerCaOption = None,
        tls_cert: TlsCertOption = None,
        tls_key: TlsKeyOption = None,
        config: ConfigOption = None,
        instance: InstanceOption = None,
    ) -> None:
        """Finds the most likely mistakes and says what to do; exits with 1 where there is one.

        It takes the settings of `serve`, changes nothing, and never shows the token. Run it as the
        agent's user and with the agent's variables or --config, else it looks elsewhere.
        """
        from meter_agent.config import load_settings
        from meter_agent.doctor import finding
        from meter_agent.doctor.examine import examine
        from metering.clock import SystemClock

        flags = {
            "listen": tuple(listen or ()),
            "data_dir": data_dir,
            "server": ",".join(server or ()) or None,
            "tls": tls,
            "server_ca": server_ca,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "token_file": token_file,
            "join_token_file": join_token_file,
            "instance": instance,
        }
        findings = []
        try:
            settings = load_settings(config_file=config, flags=flags)
            findings = examine(settings, clock=SystemClock())
        except MeteringError as error:
            fail(error)
        typer.echo(json.dumps(finding.to_json(findings)) if as_json else finding.to_text(findings))
        if not finding.is_healthy(findings):
            raise typer.Exit(1)

    return doctor


def _tail_command(fail: Fail) -> Callable[..., None]:
    def tail(
        as_json: JsonOption = False,  # noqa: FBT002 - a switch of the command line
        customer: Annotated[str | None, typer.Option(help="Only events of this customer.")] = None,
        count: Annotated[
            int, typer.Option(min=1, max=1_000_000, help="Ends after as many events.")
        ] = 1_000,
        from_start: Annotated[  # noqa: FBT002 - a switch of the command line
            bool,
            typer.Option("--from-start", help="Begin with what is kept, not with what is new."),
        ] = False,
        data_dir: DataDirOption = None,
        config: ConfigOption = None,
        instance: InstanceOption = None,
    ) -> None:
        """Prints events as they are recorded, until Ctrl-C; read-only, beside the running agent."""
        from meter_agent import tail as view
        from meter_agent.config import load_settings
        from metering.stop_signal import StopSignal

        stopping = StopSignal()
        try:
            flags = {"data_dir": data_dir, "instance": instance}
            settings = load_settings(config_file=config, flags=flags)
            reader = view.TailReader(settings.data_directory)
            positions = reader.positions()
            first_seq = positions.earliest_kept_seq if from_start else positions.next_seq
            passing = (
                item
                for item in view.follow(reader.reader, first_seq=first_seq, stopping=stopping)
                if customer is None or item[2].customer_id == customer
            )
            for position, received, event in itertools.islice(passing, count):
                if as_json:
                    line = json.dumps(view.to_json(position, received=received, event=event))
                else:
                    line = view.to_text(position, received=received, event=event)
                typer.echo(line)
            reader.close()
        except MeteringError as error:
            fail(error)

    return tail
