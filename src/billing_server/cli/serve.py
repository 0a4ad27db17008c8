"""`billing-server serve`: runs the server until it is told to stop."""

from pathlib import Path
from typing import Annotated

import typer

from billing_server.cli.logs import LogLevel, configure_logs
from billing_server.config import (
    GRPC_LISTEN_DEFAULT,
    HTTP_LISTEN_DEFAULT,
    load_settings,
)


def serve_command(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the data lives. Default: /var/lib/billing-server where writable, else "
            "~/.local/state/billing-server."
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="sqlite:///PATH or postgresql://… Default: billing.db in the data dir."),
    ] = None,
    grpc_listen: Annotated[
        str | None, typer.Option(help=f"Where agents connect. Default: {GRPC_LISTEN_DEFAULT}.")
    ] = None,
    http_listen: Annotated[
        str | None, typer.Option(help=f"Where the API listens. Default: {HTTP_LISTEN_DEFAULT}.")
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of the gRPC port's certificate. Default: plain text."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority whose certificates agents have to show."),
    ] = None,
    test_clock: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Make a test database whose time begins here and moves only when told.",
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(help="How long an ended period waits for late usage. Default: PT1H."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with these settings; flags and env win.")
    ] = None,
) -> None:
    """Run the server: gRPC for agents, HTTP for everything else. No setting is needed.

    Every flag is also a variable BILLING_SERVER_… and a key of the TOML file.

    Example: billing-server serve --data-dir ./data
    """
    from billing_server.bootstrap import run_server

    configure_logs(LogLevel.INFO)
    settings = load_settings(
        config=config,
        overrides={
            "data_dir": data_dir,
            "database_url": database_url,
            "grpc_listen": grpc_listen,
            "http_listen": http_listen,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "tls_client_ca": tls_client_ca,
            "test_clock": test_clock,
            "grace": grace,
        },
    )
    run_server(settings)
