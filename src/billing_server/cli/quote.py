"""`billing-server quote`: prices quantities, lays out periods, prorates. Needs no database."""

import json
from pathlib import Path
from typing import Annotated

import typer

from billing_server.cli.catalog import read_text
from billing_server.domain.quote import quote_document

EXIT_WITH_ERRORS = 1


def quote_command(
    file: Annotated[Path, typer.Argument(help="JSON, JSON Lines or YAML; - reads stdin.")],
) -> None:
    """Answer what the engine computes: an amount with its steps, periods, or a proration.

    One result a line, in the order of the requests; a bad one is answered with its error and the
    exit code is 1.

    Example: echo '{"currency": "USD", "quantity": "1500", "price": {"model": "per_unit",
    "unit_price": "0.002"}}' | billing-server quote -
    """
    report = quote_document(read_text(file), name=str(file))
    for result in report.results:
        print(json.dumps(result, ensure_ascii=False))
    if not report.is_ok:
        raise typer.Exit(EXIT_WITH_ERRORS)
