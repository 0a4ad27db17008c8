"""`explain` of invoices and of customers' upcoming invoices."""

from typing import Annotated, Any

import typer

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiClient,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
    path_of,
)
from billing_server.cli.explain_text import event_text, explanation_text
from billing_server.cli.output import print_json

EVENTS_DEFAULT = 100
LineOption = Annotated[
    int | None, typer.Option("--line", min=0, help="Only the line at this position, from 0.")
]
EventsOption = Annotated[
    bool, typer.Option("--events", help="List the events that the lines count.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Events a line at most.")]


def explain_invoice_command(
    number: Annotated[str, typer.Argument(help="Number or id of the invoice.")],
    *,
    line: LineOption = None,
    events: EventsOption = False,
    limit: LimitOption = EVENTS_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Explain how each amount of an invoice came about, down to the events.

    Example: billing-server invoices explain INV-000002 --line 1 --events
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    path = ("invoices", number)
    explained = _explained(client, path=path, line=line)
    _print(
        client,
        explained=explained,
        path=("invoices", number),
        limit=limit if events else 0,
        as_json=as_json,
    )


def explain_upcoming_command(
    customer_id: Annotated[str, typer.Argument(help="Id of the customer.")],
    *,
    line: LineOption = None,
    events: EventsOption = False,
    limit: LimitOption = EVENTS_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Explain a customer's upcoming invoice as of now, down to the events.

    Example: billing-server customers explain acme --line 0
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    path = ("customers", customer_id, "upcoming-invoice")
    explained = _explained(client, path=path, line=line)
    _print(client, explained=explained, path=path, limit=limit if events else 0, as_json=as_json)


def _explained(client: ApiClient, *, path: tuple[str, ...], line: int | None) -> dict[str, Any]:
    explained: dict[str, Any] = client.get(path_of(*path, "explain"), query={"line": line})
    return explained


def _print(
    client: ApiClient,
    *,
    explained: dict[str, Any],
    path: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Print an explanation and, for a limit over 0, up to so many events of each usage line."""
    found = {
        line["line"]: list(
            client.entries(path_of(*path, "lines", str(line["line"]), "events"), limit=limit)
        )
        for line in explained["lines"]
        if limit and line["usage"] is not None
    }
    if as_json:
        for line in explained["lines"]:
            if line["line"] in found:
                line["events"] = found[line["line"]]
        print_json(explained)
        return
    print(explanation_text(explained))
    for index, members in found.items():
        print(f"events of line {index}, the first {len(members)}:")
        for event in members:
            print(f"  {event_text(event)}")
