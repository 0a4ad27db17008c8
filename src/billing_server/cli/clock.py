"""`billing-server clock …`."""

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
from billing_server.cli.output import console, print_json

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="Show the server's clock; move that of a test database.",
    rich_markup_mode=None,
)


@app.command("show")
def show_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show the server's present instant.

    Example: billing-server clock show
    """
    answer = open_client(url=url, api_key=api_key, data_dir=data_dir).get("/v1/clock")
    if as_json:
        print_json(answer)
    else:
        kind = "test clock" if answer["is_test_clock"] else "real time"
        print(f"{answer['now']} ({kind})")


@app.command("advance-to")
def advance_command(
    instant: Annotated[str, typer.Argument(help="RFC 3339 instant, never before the present.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Move the clock of a test database; what falls due on the way happens at its time.

    Example: billing-server clock advance-to 2026-04-01T02:00:00Z
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    with console().status(f"advancing to {instant}"):  # Silent where there is no terminal.
        answer = client.post("/v1/clock/advance", body={"to": instant})
    if as_json:
        print_json(answer)
    else:
        print(f"the clock stands at {answer['now']}")
