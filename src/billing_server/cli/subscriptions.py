"""`billing-server subscriptions …`."""

import json
from collections.abc import Iterator, Mapping
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
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.output import print_json, print_table

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List and show subscriptions, and change running ones: version, overrides, add-ons.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50


@app.command("list")
def list_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only those of one customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List subscriptions with their running period.

    Example: billing-server subscriptions list --customer acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/subscriptions", limit=limit, query={"customer": customer}))
    if as_json:
        print_json(found)
        return
    print_table(
        "subscriptions",
        columns=(
            "subscription",
            "customer",
            "plan",
            "start",
            "end",
            "running period",
            "rating failed",
        ),
        rows=(
            (
                each["id"],
                each["customer"],
                f"{each['plan']} v{each['plan_version']}",
                each["start"],
                each["end"],
                _period_text(each["current_period"]),
                each["rating_failed_reason"],
            )
            for each in found
        ),
    )


@app.command("show")
def show_command(
    subscription_id: Annotated[str, typer.Argument(help="Id of the subscription.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show a subscription.

    Example: billing-server subscriptions show sub-1
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = client.get(path_of("subscriptions", subscription_id))
    if as_json:
        print_json(found)
        return
    for label, value in found.items():
        if label == "changes":
            continue
        print(f"{label:<20} {_shown(value, label=label)}")
    for position, line in enumerate(changes_text(found["changes"])):
        print(f"{'' if position else 'changes':<20} {line}")


def changes_text(changes: Mapping[str, Any]) -> Iterator[str]:
    """Return what changed in a subscription, one sentence a change."""
    for move in changes.get("moves", ()):
        yield f"from {move['start']}: version {move['version']}"
    for each in changes.get("overrides", ()):
        fields = json.dumps(each["set"], ensure_ascii=False) if each["set"] else "as in the plan"
        yield f"from {each['start']}: price {each['price']} {fields}"
    for addon in changes.get("addons", ()):
        until = "" if addon["end"] is None else f" until {addon['end']}"
        yield f"from {addon['start']}{until}: add-on {addon['addon']} version {addon['version']}"
    for price, start in changes.get("price_starts", {}).items():
        yield f"from {start}: price {price}, which was added to the version"


def _shown(value: Any, *, label: str) -> str:
    if value is None or value == {}:
        return "–"
    if label == "current_period":
        return _period_text(value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return str(value)


def _period_text(period: dict[str, str] | None) -> str | None:
    return None if period is None else f"{period['start']} – {period['end']}"
