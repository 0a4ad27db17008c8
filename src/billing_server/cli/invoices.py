"""`billing-server invoices …`."""

from typing import Annotated

import typer

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
    path_of,
)
from billing_server.cli.compare import compare_invoice_command
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.explain import explain_invoice_command
from billing_server.cli.invoice_text import invoice_text
from billing_server.cli.output import print_json, print_table

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List, show, explain and compare issued invoices.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50
app.command("compare")(compare_invoice_command)
app.command("explain")(explain_invoice_command)


@app.command("list")
def list_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only those of one customer.")] = None,
    subscription: Annotated[str | None, typer.Option(help="Only one subscription's.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only those in one state, such as finalized or paid.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Only those made for one reason, such as start or periodic."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List invoices in the order of issue.

    Example: billing-server invoices list --customer acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    query = {
        "customer": customer,
        "subscription": subscription,
        "state": state,
        "reason": reason,
    }
    found = list(client.entries("/v1/invoices", limit=limit, query=query))
    if as_json:
        print_json(found)
        return
    print_table(
        "invoices",
        columns=("number", "customer", "reason", "state", "period", "total", "due"),
        right=("total", "due"),
        rows=(
            (
                invoice["number"],
                invoice["customer"],
                invoice["reason"],
                invoice["state"],
                f"{invoice['period']['start']} – {invoice['period']['end']}",
                f"{invoice['total']} {invoice['currency']}",
                invoice["amount_due"],
            )
            for invoice in found
        ),
    )


@app.command("show")
def show_command(
    number: Annotated[str, typer.Argument(help="Number or id of the invoice.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show an invoice line by line, with the steps of every amount.

    Example: billing-server invoices show INV-000001
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    invoice = client.get(path_of("invoices", number))
    if as_json:
        print_json(invoice)
    else:
        print(invoice_text(invoice))
