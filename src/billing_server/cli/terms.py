"""`billing-server subscriptions …`: what changes in running subscriptions."""

import json
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
from billing_server.cli.output import print_json, print_table
from billing_server.cli.subscriptions import changes_text
from billing_server.cli.usage import pair_of
from billing_server.domain.invoice.calculation import readable
from metering.errors import ValidationError

SubscriptionArgument = Annotated[str, typer.Argument(help="Id of the subscription.")]
NowOption = Annotated[
    str,
    typer.Option("--effective", help="now, renewal, or an instant such as 2026-03-01T00:00:00Z."),
]


def move_version_command(
    subscription_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids; none: all of the plan.")
    ] = None,
    *,
    plan: Annotated[str, typer.Option("--plan", help="Key of their plan.")],
    version: Annotated[int, typer.Option("--to", min=1, help="Version to move to.")],
    effective: NowOption = "renewal",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what each would pay; change nothing.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Move one, some or all subscriptions of a plan onto another version of it.

    Example: billing-server subscriptions move-version --plan pro --to 2 --dry-run
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body: dict[str, Any] = {"version": version, "effective": effective, "dry_run": dry_run}
    if subscription_ids:
        body["subscriptions"] = subscription_ids
    moved: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        path = path_of("plans", plan) + "/move-version"
        answer = client.post(path, body=body | {"after": after})
        moved += answer["data"]
        after = answer["next_after"]
        if after is None:
            break
    if as_json:
        print_json(moved)
        return
    columns = ("subscription", "customer", "version", "effective", "before", "after", "refused")
    print_table(
        "would move" if dry_run else "moved",
        columns=columns,
        rows=(
            (
                each["subscription"],
                each["customer"],
                f"{each['from_version']} -> {each['to_version']}",
                each["effective"],
                _amount(each, "before"),
                _amount(each, "after"),
                each["refusal"],
            )
            for each in moved
        ),
        right=("before", "after"),
        empty="none: all are on that version",
    )
    if any(each["after"] is not None for each in moved):
        print("before and after: the upcoming invoice with the usage so far")


def _amount(moved: dict[str, Any], name: str) -> str | None:
    return None if moved[name] is None else f"{readable(moved[name])} {moved['currency']}"


def override_command(
    subscription_id: SubscriptionArgument,
    price: Annotated[str, typer.Argument(help="Key of the price.")],
    fields: Annotated[str, typer.Argument(help='Fields as JSON, e.g. {"amount": "15.00"}.')],
    *,
    effective: NowOption = "now",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let fields of a price differ for a subscription; {} ends it.

    Example: billing-server subscriptions override sub-1 input '{"included": "2000000"}'
    """
    try:
        found = json.loads(fields)
    except ValueError as error:
        raise ValidationError(
            reason="JSON_MALFORMED", message=f"the fields are no JSON: {error}"
        ) from error
    if not isinstance(found, dict):
        raise ValidationError(
            reason="JSON_MALFORMED", message='fields in {…} belong here, e.g. {"amount": "15.00"}'
        )
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"price": price, "set": found, "effective": effective}
    changed = client.post(path_of("subscriptions", subscription_id) + "/override", body=body)
    _print_changed(changed, as_json=as_json)


def add_addon_command(
    subscription_id: SubscriptionArgument,
    addon: Annotated[str, typer.Argument(help="Key of the add-on.")],
    *,
    quantity: Annotated[
        list[str] | None,
        typer.Option("--quantity", help="NAME=NUMBER that a fee is for each unit of: seats=5."),
    ] = None,
    effective: NowOption = "now",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a subscription the prices of an add-on.

    Example: billing-server subscriptions add-addon sub-1 priority-support
    """
    quantities = dict(pair_of(each, field="quantity") for each in quantity or ())
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"addon": addon, "effective": effective, "quantities": quantities}
    changed = client.post(path_of("subscriptions", subscription_id) + "/add-addon", body=body)
    _print_changed(changed, as_json=as_json)


def remove_addon_command(
    subscription_id: SubscriptionArgument,
    addon: Annotated[str, typer.Argument(help="Key of the add-on.")],
    *,
    effective: NowOption = "renewal",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Take an add-on from a subscription; what was charged in advance is not given back.

    Example: billing-server subscriptions remove-addon sub-1 priority-support
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"addon": addon, "effective": effective}
    changed = client.post(path_of("subscriptions", subscription_id) + "/remove-addon", body=body)
    _print_changed(changed, as_json=as_json)


def _print_changed(changed: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(changed)
        return
    print(f"subscription {changed['id']} has now:")
    for line in changes_text(changed["changes"]):
        print(f"  {line}")
