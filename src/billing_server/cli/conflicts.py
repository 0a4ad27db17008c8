"""`billing-server conflicts …`."""

from typing import Annotated

import typer

from billing_server.cli.client import (
    PAGE_LIMIT,
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
    help="List events that came under a used id with other content, or discard them.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50


@app.callback()
def conflicts_group() -> None:
    """List events that came under a used id with other content, or discard them."""


@app.command("list")
def list_command(
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=PAGE_LIMIT, help="The newest so many.")
    ] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the newest events that came under a used id with other content; the first ones stand.

    Example: billing-server conflicts list
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/conflicts", limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        "conflicts",
        columns=("customer", "event", "seen", "quantities", "dimensions"),
        rows=(
            (
                each["customer"],
                each["event_id"],
                each["detect_time"],
                _pairs(each["quantities"]),
                _pairs(each["dimensions"]),
            )
            for each in found
        ),
    )


@app.command("discard")
def discard_command(
    event_id: Annotated[
        list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="Ids of conflicts.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for people; it stands in the audit.")],
    customer: Annotated[
        str | None, typer.Option(help="Whose; without ids: all of its conflicts.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Mark conflicts as looked at: they are listed no more, and the first events stand.

    Example: billing-server conflicts discard 0197… --reason "counted by hand"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"event_ids": event_id or [], "customer": customer, "reason": reason}
    answer = client.post("/v1/conflicts/discard", body=body)
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['discarded']} discarded")


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
