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
    help="List usage that waits for an operator; count it after all, or discard it.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50

EventsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="Ids of waiting events.")
]
SelectingCustomerOption = Annotated[
    str | None,
    typer.Option(help="Whose; without ids: all of it. With them: where several have one of them."),
]
WaitingReasonOption = Annotated[
    str | None, typer.Option(help="Only what waits for this reason, such as CUSTOMER_UNKNOWN.")
]
ReasonOption = Annotated[str, typer.Option(help="Why, for people; it stands in the audit.")]


@app.callback()
def quarantine_group() -> None:
    """List usage that waits for an operator; count it after all, or discard it."""


@app.command("list")
def list_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only that of one customer.")] = None,
    waiting_reason: WaitingReasonOption = None,
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
    query = {"customer": customer, "waiting_reason": waiting_reason}
    found = list(client.entries("/v1/quarantine", limit=limit, query=query))
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


@app.command("reassign")
def reassign_command(
    event_id: EventsArgument = None,
    *,
    to_customer: Annotated[str, typer.Option(help="Whose usage it is.")],
    reason: ReasonOption,
    customer: SelectingCustomerOption = None,
    waiting_reason: WaitingReasonOption = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Count waiting events for another customer, each exactly once.

    What they came as is never counted; a resend of it stays a duplicate.

    Example: billing-server quarantine reassign --customer amce --to-customer acme --reason "a typo"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {
        "event_ids": event_id or [],
        "customer": customer,
        "waiting_reason": waiting_reason,
        "to_customer": to_customer,
        "reason": reason,
    }
    answer = client.post("/v1/quarantine/reassign", body=body)
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['counted']} counted for {to_customer}, {answer['waiting']} still waiting")


@app.command("discard")
def discard_command(
    event_id: EventsArgument = None,
    *,
    reason: ReasonOption,
    customer: SelectingCustomerOption = None,
    waiting_reason: WaitingReasonOption = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Discard waiting events: they are never counted, and a resend stays a duplicate.

    Example: billing-server quarantine discard --customer load-test --reason "not billed"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {
        "event_ids": event_id or [],
        "customer": customer,
        "waiting_reason": waiting_reason,
        "reason": reason,
    }
    answer = client.post("/v1/quarantine/discard", body=body)
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['discarded']} discarded")
