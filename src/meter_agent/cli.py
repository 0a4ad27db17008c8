"""The command line of the agent: serve, status, drain; the other commands are beside it."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from meter_agent.cli_operation import add_operation_commands
from meter_agent.cli_options import (
    JoinTokenFileOption,
    ServerCaOption,
    ServerOption,
    TlsCertOption,
    TlsKeyOption,
    TlsOption,
    TokenFileOption,
)
from meter_agent.cli_quota import add_quota_commands
from meter_agent.cli_rescue import add_rescue_commands
from meter_agent.cli_target import agent_targets, call_agent
from metering.errors import MeteringError

app = typer.Typer(
    name="meter-agent",
    help="The metering sidecar: makes usage durable beside the service and ships it exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

POLL_SECONDS: Final = 0.1

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with any of these settings.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Directory of the buffer.  [default: /var/lib/meter-agent where writable, else "
        "~/.local/state/meter-agent]"
    ),
]
DiskBudgetOption = Annotated[
    int | None, typer.Option(help="Bytes that buffered events may take.  [default: 1 GiB]")
]
BallastOption = Annotated[
    int | None,
    typer.Option(
        help="Bytes of a file that is given up when the disk is full, so that what was shipped "
        "can still be deleted; 0: none.  [default: 16 MiB]"
    ),
]
InstanceOption = Annotated[
    str | None, typer.Option(help="Name of this agent where several run on a host.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Address of the running agent, unix:/path or HOST:PORT.  [default: "
        "METER_AGENT_ADDRESS, else where `serve` with the same settings listens]"
    ),
]


@app.command(
    epilog="Example:  meter-agent serve --server billing.internal:4280 "
    "--token-file /etc/meter-agent/token"
)
def serve(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="Address to listen on, unix:/path or HOST:PORT; may be repeated.  [default: "
            "/run/meter-agent/agent.sock where writable, else a socket in the data directory; "
            "and 127.0.0.1:4270]"
        ),
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
    disk_budget_bytes: DiskBudgetOption = None,
    ballast_bytes: BallastOption = None,
    socket_group: Annotated[
        str | None, typer.Option(help="Group that may use the sockets.")
    ] = None,
    admin_listen: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of /metrics, /livez and /readyz, e.g. 127.0.0.1:4271.  [default: none]"
        ),
    ] = None,
    pre_stop_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds that health says NOT_SERVING before a stop begins.  [default: 0]"
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error.  [default: info]")
    ] = None,
) -> None:
    """Runs the sidecar until SIGTERM or SIGINT.

    Every option is also a METER_AGENT_* variable and a key of the TOML file; options win over
    variables, variables over the file. Without a server or a token the agent buffers.
    """
    from meter_agent.config import load_settings

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
        "disk_budget_bytes": disk_budget_bytes,
        "ballast_bytes": ballast_bytes,
        "socket_group": socket_group,
        "admin_listen": admin_listen,
        "pre_stop_seconds": pre_stop_seconds,
        "log_level": log_level,
    }
    try:
        settings = load_settings(config_file=config, flags=flags)
        _serve(settings)
    except MeteringError as error:
        _fail(error)


def _serve(settings: Any) -> None:
    from meter_agent.bootstrap import Agent, agent_version
    from meter_agent.logs import configure_logs
    from metering.stop_signal import StopSignal

    configure_logs(settings.log_level)
    stopping = StopSignal()
    agent = Agent(settings)
    agent.start()
    listening = ", ".join(address.target for address in agent.bound)
    server = settings.server or "none, buffering only"
    admin = "" if agent.admin_bound is None else f"; admin on {agent.admin_bound.target}"
    print(
        f"meter-agent {agent_version()} listening on {listening}; data in {agent.data_directory}; "
        f"server {server}{admin}",
        flush=True,
    )
    stopping.wait()
    agent.stop()


@app.command(epilog="Example:  meter-agent status --json | jq .buffered_event_count")
def status(
    as_json: Annotated[  # noqa: FBT002 - a switch of the command line
        bool, typer.Option("--json", help="Print one JSON object.")
    ] = False,
    address: AddressOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    instance: InstanceOption = None,
) -> None:
    """Shows what the running agent holds and how far it has shipped."""
    from meter_agent import status_view

    try:
        targets = agent_targets(address, data_dir=data_dir, config=config, instance=instance)
        found = _status_of(targets)
    except MeteringError as error:
        _fail(error)
    print(json.dumps(status_view.to_json(found)) if as_json else status_view.to_text(found))


@app.command(epilog="Example:  meter-agent drain --timeout 120 && systemctl stop meter-agent")
def drain(
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for an empty buffer.")
    ] = 60.0,
    address: AddressOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    instance: InstanceOption = None,
) -> None:
    """Waits until the running agent has shipped all it holds; exits with 1 and says why if not."""
    from meter_agent import status_view

    end = time.monotonic() + timeout
    try:
        targets = agent_targets(address, data_dir=data_dir, config=config, instance=instance)
        while True:
            found = _status_of(targets)
            if found.buffered_event_count == 0:
                print("0 events buffered")
                return
            if time.monotonic() >= end:
                break
            time.sleep(POLL_SECONDS)
    except MeteringError as error:
        _fail(error)
    print(status_view.why_not_drained(found, timeout_seconds=timeout), file=sys.stderr)
    raise typer.Exit(1)


def _status_of(targets: tuple[str, ...]) -> Any:
    from metering.api.v1 import agent_pb2

    return call_agent(targets, "GetAgentStatus", agent_pb2.GetAgentStatusRequest())


def _fail(error: MeteringError) -> NoReturn:
    print(f"meter-agent: {error.message} [{error.reason}]", file=sys.stderr)
    raise typer.Exit(1)


add_operation_commands(app, fail=_fail)
add_rescue_commands(app, fail=_fail)
add_quota_commands(app, fail=_fail)


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if is_wanted:
        from meter_agent.bootstrap import agent_version

        print(agent_version())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002 - a switch of the command line
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line: the console script `meter-agent`."""
    app()


if __name__ == "__main__":
    main()
