"""`billing-server reprice`: corrects a wrong price."""

from collections import defaultdict
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
from billing_server.cli.invoice_text import is_zero
from billing_server.cli.output import print_json, print_table
from billing_server.domain.invoice.calculation import readable


def reprice_command(
    *,
    plan: Annotated[str, typer.Option(help="Key of the plan whose price was wrong.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339 instant since when.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Version whose prices are right; else the newest.")
    ] = None,
    of_version: Annotated[
        int | None,
        typer.Option(min=1, help="Only subscriptions that are on this version, the wrong one."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell; change nothing.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Price open periods anew at corrected prices, and propose what makes issued invoices right.

    Apply a version of the plan with the right prices first. Every subscription of the plan is
    priced by it, also one that stayed on an older version, unless --of-version says which. Issued
    invoices never change: credit notes and charges are proposed for them, and not issued.

    Example: billing-server reprice --plan pro --from 2026-01-01T00:00:00Z --dry-run
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    versions = {"version": version, "of_version": of_version}
    chosen = {name: number for name, number in versions.items() if number is not None}
    body = {"from": start, "dry_run": dry_run} | chosen
    found = list(_pages(client, plan=plan, body=body))
    if as_json:
        print_json(found)
        return
    _print_open(found, verb="would be" if dry_run else "are")
    _print_invoiced(found)
    for each in found:
        if each["refusal"] is not None:
            print(f"{each['subscription']} stays as it is: {each['refusal']}")


def _pages(client: ApiClient, *, plan: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        query = "" if cursor is None else f"?cursor={cursor}"
        page = client.post(path_of("plans", plan, "reprice") + query, body=body)
        yield from page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _print_open(found: list[dict[str, Any]], *, verb: str) -> None:
    print_table(
        f"open periods, which {verb} priced anew",
        columns=("subscription", "customer", "period", "so far", "corrected", "difference"),
        right=("so far", "corrected", "difference"),
        rows=(
            (
                each["subscription"],
                each["customer"],
                f"{period['period']['start']} – {period['period']['end']}",
                readable(period["before"]),
                f"{readable(period['after'])} {each['currency']}",
                readable(period["difference"]),
            )
            for each in found
            for period in each["open"]
        ),
    )


def _print_invoiced(found: list[dict[str, Any]]) -> None:
    print_table(
        "invoiced periods, which stay as they are",
        columns=(
            "subscription",
            "period from",
            "price",
            "invoices",
            "invoiced",
            "late",
            "corrected",
            "proposal",
        ),
        right=("invoiced", "late", "corrected"),
        rows=(
            (
                each["subscription"],
                line["period"]["start"],
                line["price"],
                ", ".join(line["invoices"]) or None,
                readable(line["invoiced"]),
                readable(line["late"]) if Decimal(line["late"]) else None,
                readable(line["corrected"]),
                f"{line['proposal'].replace('_', ' ')} {readable(line['difference'].lstrip('-'))} "
                f"{each['currency']}{_tax_text(line['tax'])}",
            )
            for each in found
            for line in each["invoiced"]
        ),
    )
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    taxes: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in found:
        for line in each["invoiced"]:
            totals[line["proposal"], each["currency"]] += Decimal(line["difference"])
            taxes[line["proposal"], each["currency"]] += Decimal(line["tax"] or 0)
    for (proposal, currency), total in sorted(totals.items()):
        tax = _tax_text(format(taxes[proposal, currency], "f"))
        print(
            f"{proposal.replace('_', ' ')}s in all: {readable(format(abs(total), 'f'))} "
            f"{currency}{tax}"
        )


def _tax_text(tax: str | None) -> str:
    return "" if is_zero(tax) else f" and {readable((tax or '').lstrip('-'))} tax"
