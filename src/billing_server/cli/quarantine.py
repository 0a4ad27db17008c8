"""`billing-server quarantine …`."""

from typing import Annotated

import typer

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
)
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.output import print_json, print_table

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List usage that waits for an operator, or try it again.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50


@app.callback()
def quarantine_group() -> None:
    """List usage that waits for an operator, or try it again."""


@app.command("list")
def list_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only that of one customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List events that were received and are not counted, with the reason.

    Example: billing-server quarantine list --customer acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/quarantine", limit=limit, query={"customer": customer}))
    if as_json:
        print_json(found)
        return
    print_table(
        "quarantine",
        columns=("customer", "event", "event time", "reason", "detail"),
        rows=(
            (
                each["customer"],
                each["event_id"],
                each["event_time"],
                each["reason"],
                each["detail"],
            )
            for each in found
        ),
    )


@app.command("redrive")
def redrive_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only that of one customer.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Count the waiting events whose reason has gone, each exactly once.

    The server does so by itself when a customer or meter comes.

    Example: billing-server quarantine redrive --customer acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {} if customer is None else {"customer": customer}
    answer = client.post("/v1/quarantine/redrive", body=body)
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['counted']} counted, {answer['waiting']} still waiting")
