"""`billing-server alerts`: what somebody has to look at."""

from typing import Annotated, Any

import typer

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
)
from billing_server.cli.output import print_json, print_table
from billing_server.domain.ports.alerts import AlertState

LIMIT_DEFAULT = 50


def alerts_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only those of one customer.")] = None,
    state: Annotated[AlertState | None, typer.Option(help="Left out: both.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List usage that no price charges: a new model without a price, most often.

    Add a price to the plan with an effective_from at or before the start of the open period: the
    period is priced anew and the alert closes.

    Example: billing-server alerts --state open
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    query = {"customer": customer, "state": None if state is None else str(state)}
    found = list(client.entries("/v1/alerts", limit=limit, query=query))
    if as_json:
        print_json(found)
        return
    print_table(
        "alerts",
        columns=("id", "state", "customer", "no price for", "since", "closed"),
        rows=(
            (
                each["id"],
                each["state"],
                each["customer"],
                _usage_text(each),
                each["usage_time"],
                each["close_time"],
            )
            for each in found
        ),
    )


def _usage_text(alert: dict[str, Any]) -> str:
    values = " ".join(f"{key}={value}" for key, value in alert["dimensions"].items())
    return f"{alert['meter']} {values}".rstrip()
