"""`compare` of invoices and of customers' upcoming invoices: why it is not what it was."""

from typing import Annotated, Any

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
from billing_server.cli.invoice_text import is_zero
from billing_server.cli.output import print_json, print_table
from billing_server.domain.invoice.calculation import readable


def compare_invoice_command(
    number: Annotated[str, typer.Argument(help="Number or id of the later invoice.")],
    *,
    earlier: Annotated[
        str | None,
        typer.Option("--with", help="The earlier one; left out: the one of the period before."),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Tell why an invoice is not what the one before was: usage or price, line by line.

    Example: billing-server invoices compare INV-000003
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    compared = client.get(path_of("invoices", number, "comparison"), query={"with": earlier})
    _print(compared, as_json=as_json)


def compare_upcoming_command(
    customer_id: Annotated[str, typer.Argument(help="Id of the customer.")],
    *,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="The estimate for the period's end, not the present.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Compare a customer's upcoming invoice with the last one: usage or price, line by line.

    Example: billing-server customers compare acme --estimate
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    path = path_of("customers", customer_id, "upcoming-invoice", "comparison")
    compared = client.get(path, query={"basis": "estimate" if estimate else "so_far"})
    _print(compared, as_json=as_json)


def _print(compared: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(compared)
        return
    currency = compared["currency"]
    before, after = compared["before"], compared["after"]
    print(f"before  {_document_text(before, currency=currency)}")
    print(f"after   {_document_text(after, currency=currency)}")
    print_table(
        "lines",
        columns=(
            "line",
            "used before",
            "used after",
            "before",
            "after",
            "change",
            "of usage",
            "of price",
        ),
        right=("used before", "used after", "before", "after", "change", "of usage", "of price"),
        rows=(_row(line) for line in compared["lines"]),
    )
    tax = compared["tax_effect"]
    print(
        f"change of the total {_signed(compared['difference'])} {currency}: "
        f"{_signed(compared['usage_effect'])} of usage, "
        f"{_signed(compared['price_effect'])} of price"
        f"{'' if is_zero(tax) else f', {_signed(tax)} of tax'}"
    )


def _document_text(document: dict[str, Any] | None, *, currency: str) -> str:
    if document is None:
        return "nothing: there is no earlier invoice"
    name = ", ".join(document["numbers"]) or "upcoming"
    period = document["period"]
    span = f" {period['start']} – {period['end']}" if period else ""
    return f"{name}{span}: {readable(document['total'])} {currency}"


def _row(line: dict[str, Any]) -> tuple[str | None, ...]:
    sides = (line["before"], line["after"])
    quantities = [None if side is None else readable(side["quantity"]) for side in sides]
    amounts = [None if side is None else readable(side["amount"]) for side in sides]
    effects = (_signed(line[name]) for name in ("difference", "usage_effect", "price_effect"))
    return (line["description"], *quantities, *amounts, *effects)


def _signed(amount: str) -> str:
    return readable(amount) if amount.startswith("-") else f"+{readable(amount)}"
