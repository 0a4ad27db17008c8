"""`billing-server customers …`."""

from collections.abc import Iterator
from decimal import Decimal
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
from billing_server.cli.compare import compare_upcoming_command
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.explain import explain_upcoming_command
from billing_server.cli.invoice_text import invoice_text
from billing_server.cli.output import print_json, print_table
from billing_server.domain.invoice.calculation import readable

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List customers, and show, explain and compare their upcoming invoices.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50
app.command("compare")(compare_upcoming_command)
app.command("explain")(explain_upcoming_command)


@app.command("list")
def list_command(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List customers with what their next invoice comes to so far.

    Example: billing-server customers list
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = [
        _with_upcoming(client, customer)
        for customer in client.entries("/v1/customers", limit=limit)
    ]
    if as_json:
        print_json(found)
        return
    print_table(
        "customers",
        columns=(
            "customer",
            "name",
            "time zone",
            "next invoice so far",
            "estimate",
            "margin so far",
            "unpriced usage",
        ),
        right=("next invoice so far", "estimate", "margin so far"),
        rows=(_row(customer) for customer in found),
    )


@app.command("show")
def show_command(
    customer_id: Annotated[str, typer.Argument(help="Id of the customer.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show a customer with the upcoming invoice, as of now, and usage that has no price.

    Example: billing-server customers show acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    customer = _with_upcoming(client, client.get(path_of("customers", customer_id)))
    if as_json:
        print_json(customer)
        return
    upcoming = customer["upcoming_invoice"]
    for label in ("id", "name", "currency", "timezone"):
        print(f"{label:<10} {customer[label] or '–'}")
    for draft in upcoming["closing"]:
        _print_draft("ended and not invoiced yet, as of now:", draft=draft)
    _print_draft("upcoming invoice, as of now:", draft=upcoming)
    for line in (*held_back_text(upcoming), *outlook_text(upcoming)):
        print(line)


def held_back_text(upcoming: dict[str, Any]) -> Iterator[str]:
    """Return what is owed to the customer for usage that was taken back after it was invoiced."""
    lines, currency = upcoming["held_back"], upcoming["currency"]
    if not lines:
        return
    total = -sum(Decimal(line["amount"]) for line in lines)
    is_taxed = any(line.get("tax", {}).get("behavior") == "exclusive" for line in lines)
    yield (
        f"owed to the customer: {readable(str(total))} {currency}"
        f"{' and its tax' if is_taxed else ''}, for usage that was taken back "
        "after it was invoiced; it stands on no invoice:"
    )
    for line in lines:
        start = line["service_period"]["start"]
        amount = readable(line["amount"])
        yield f"  {line['description']}, service from {start}: {amount} {currency}"


def outlook_text(upcoming: dict[str, Any]) -> Iterator[str]:
    """Return what the upcoming invoice is heading for, and what it leaves its seller."""
    estimate, currency = upcoming["estimate"], upcoming["currency"]
    if estimate is not None:
        yield (
            f"estimate for the period's end: {estimate['total']} {currency}, if usage goes on at "
            "its pace:"
        )
        for period in estimate["periods"]:
            for line in period["lines"]:
                quantity = f"{readable(line['quantity'])} {line['unit']}, " if line["unit"] else ""
                yield f"  {line['description']}: {quantity}{readable(line['amount'])} {currency}"
    margin = upcoming["margin"]
    if margin is not None:
        yield (
            f"your cost of usage so far: {margin['cost']} of {margin['charged']} {currency} "
            f"charged, margin {readable(margin['margin'])} {currency}"
        )


def _print_draft(title: str, *, draft: dict[str, Any]) -> None:
    print(title)
    print(invoice_text(draft))
    for entry in draft["unpriced"]:
        print(f"no price matches: {_unpriced_text(entry)}")


def _with_upcoming(client: ApiClient, customer: dict[str, Any]) -> dict[str, Any]:
    upcoming = client.get(path_of("customers", customer["id"], "upcoming-invoice"))
    return {**customer, "upcoming_invoice": upcoming}


def _row(customer: dict[str, Any]) -> tuple[str | None, ...]:
    upcoming = customer["upcoming_invoice"]
    unpriced = ", ".join(_unpriced_text(entry) for entry in upcoming["unpriced"])
    return (
        customer["id"],
        customer["name"],
        customer["timezone"],
        f"{upcoming['total']} {upcoming['currency'] or ''}".rstrip(),
        (upcoming["estimate"] or {}).get("total"),
        (upcoming["margin"] or {}).get("margin"),
        unpriced or None,
    )


def _unpriced_text(entry: dict[str, Any]) -> str:
    values = " ".join(f"{key}={value}" for key, value in entry["dimensions"].items())
    return f"{entry['quantity']} {entry['unit']} of {entry['meter']}{' ' if values else ''}{values}"
