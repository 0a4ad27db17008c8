"""`billing-server apply` and `catalog …`: the catalog made equal to its files, and shown."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
    path_of,
)
from billing_server.cli.output import print_json, print_table
from metering.errors import ValidationError


def apply_command(
    files: Annotated[list[Path], typer.Argument(help="Catalog files (YAML), applied as one.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change; change nothing.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make meters, plans, customers and subscriptions equal to catalog files.

    The files are applied whole or not at all. Applying them again changes nothing.

    Example: billing-server apply catalog.yaml --dry-run
    """
    sources = [{"name": str(path), "text": read_text(path)} for path in files]
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    answer = client.post("/v1/catalog/apply", body={"files": sources, "dry_run": dry_run})
    if as_json:
        print_json(answer)
        return
    for change in answer["changes"]:
        print(change["description"])
    count = len(answer["changes"])
    for each in answer["unchanged"] if count else ():
        print(f"unchanged {each['kind'].replace('_', ' ')} {each['key']}")
    if count == 0:
        print("no change: all of it is applied already")
    else:
        print(f"{count} change{'' if count == 1 else 's'} {'planned' if dry_run else 'applied'}")


def export_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print meters, plans, add-ons and tax rates as a catalog file; applying it changes nothing.

    Example: billing-server catalog export > catalog.yaml
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    answer = client.get("/v1/catalog/export")
    if as_json:
        print_json(answer)
        return
    print(yaml.safe_dump(answer, sort_keys=False, allow_unicode=True, width=100), end="")


def list_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List meters, plans and add-ons with their newest versions, and tax rates.

    Example: billing-server catalog list
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    sections = ("meters", "plans", "addons", "tax_rates")
    found = {name: client.get(f"/v1/{name.replace('_', '-')}")["data"] for name in sections}
    if as_json:
        print_json(found)
        return
    print_table(
        "meters",
        columns=("meter", "aggregation", "unit", "decimals", "quantity"),
        right=("decimals",),
        rows=(
            (each["key"], each["aggregation"], each["unit"], each["decimals"], each["quantity"])
            for each in found["meters"]
        ),
    )
    for title in ("plans", "addons"):
        print_table(
            "add-ons" if title == "addons" else title,
            columns=("key", "version", "on offer since", "currency", "prices"),
            right=("version",),
            rows=(
                (
                    each["key"],
                    each["version"],
                    each.get("effective_from"),
                    each["currency"],
                    ", ".join(price["key"] for price in each["prices"]) or None,
                )
                for each in found[title]
            ),
        )
    _print_tax_rates(found["tax_rates"])


def _print_tax_rates(rates: list[dict[str, Any]]) -> None:
    print_table(
        "tax rates",
        columns=("key", "tax", "rate", "country", "region", "category", "from", "until"),
        right=("rate",),
        rows=(
            tuple(
                each[name]
                for name in (
                    "key",
                    "name",
                    "rate",
                    "country",
                    "region",
                    "category",
                    "from",
                    "until",
                )
            )
            for each in rates
        ),
    )


def show_command(
    key: Annotated[str, typer.Argument(help="Key of a plan or, with --addon, of an add-on.")],
    *,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Left out: the newest.")
    ] = None,
    addon: Annotated[bool, typer.Option("--addon", help="Show an add-on, not a plan.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print one version of a plan or add-on in the form of a catalog file.

    Example: billing-server catalog show pro --version 1
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = client.get(path_of("addons" if addon else "plans", key), query={"version": version})
    if as_json:
        print_json(found)
        return
    print(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100), end="")


def read_text(path: Path) -> str:
    """Return the text of a file, or of standard input where the path is `-`.

    Raises:
        ValidationError: FILE_UNREADABLE.
    """
    try:
        if str(path) == "-":
            return typer.get_text_stream("stdin").read()
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValidationError(
            reason="FILE_UNREADABLE", message=f"{path}: cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValidationError(
            reason="FILE_UNREADABLE", message=f"{path}: is not UTF-8 text: {error.reason}"
        ) from error
