"""`billing-server limits …`, `billing-server balance …` and `billing-server audit`."""

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
from metering.errors import ValidationError

limits_app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="Limits of customers: what is used, leased where, and left.",
    rich_markup_mode=None,
)
balance_app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="Prepaid balances of customers.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50
AMOUNTS = ("max", "used", "reserved", "leased", "unknown", "presumed", "left")
CustomerArgument = Annotated[str, typer.Argument(help="Id of the customer.")]


@limits_app.command("show")
def show_command(
    customer_id: CustomerArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show the limits of a customer and which agent holds how much of them.

    Example: billing-server limits show acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = client.get(path_of("customers", customer_id, "limits"))["data"]
    if as_json:
        print_json(found)
        return
    print_table(
        "limits",
        columns=("limit", "window", "enforcement", "unit", *AMOUNTS, "bound"),
        right=(*AMOUNTS, "bound"),
        rows=(
            (
                each["key"],
                each["window"]["end"] or each["window"]["id"].split("/")[0],
                each["enforcement"],
                each["unit"],
                *(each[name] for name in AMOUNTS),
                each["bound"] or "none",
            )
            for each in found
        ),
    )
    leases = [(each, lease) for each in found for lease in each["leases"]]
    if leases:
        print_table(
            "leases",
            columns=("limit", "agent", "state", "rest", "reserved", "last told", "lease"),
            right=("rest", "reserved"),
            rows=(_lease_row(each, lease) for each, lease in leases),
        )


@limits_app.command("list")
def list_command(
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the limits of the newest version of every plan.

    Example: billing-server limits list
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = client.get("/v1/limits")["data"]
    if as_json:
        print_json(found)
        return
    print_table(
        "limits",
        columns=("plan", "limit", "of", "most", "window", "enforcement"),
        right=("most",),
        rows=(_definition_row(each["plan"], each["limit"]) for each in found),
    )


@limits_app.command("set")
def set_command(
    customer_id: CustomerArgument,
    key: Annotated[str, typer.Argument(help="Key of the limit.")],
    *,
    meter: Annotated[str | None, typer.Option(help="Meter that is limited.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="DIMENSION=VALUE that usage must carry.")
    ] = None,
    max_: Annotated[
        str | None, typer.Option("--max", help="Most of a window, in the meter's unit.")
    ] = None,
    amount: Annotated[str | None, typer.Option(help="Most of a window, in money.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most calls at once.")] = None,
    balance: Annotated[str | None, typer.Option(help="prepaid: the money there is.")] = None,
    window: Annotated[str | None, typer.Option(help="minute, hour, day, … or rolling:5h.")] = None,
    enforcement: Annotated[str | None, typer.Option(help="hard, soft or shadow.")] = None,
    when_offline: Annotated[str | None, typer.Option(help="closed, allowance or open.")] = None,
    allowance: Annotated[str | None, typer.Option(help="Of one agent and window.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a customer a limit of its own, or change it. Agents hear of it at once.

    Example: billing-server limits set acme daily --meter input_tokens --window day --max 5000000
    """
    body = {
        "meter": meter,
        "where": _where(where),
        "max": max_,
        "amount": amount,
        "concurrency": concurrency,
        "balance": balance,
        "window": window,
        "enforcement": enforcement,
        "when_offline": when_offline,
        "allowance": allowance,
    }
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    given = {name: value for name, value in body.items() if value is not None}
    answer = client.put(path_of("customers", customer_id, "limits", key), body=given)
    if as_json:
        print_json(answer)
        return
    print(f"limit {key} of customer {customer_id} holds from now on")


@limits_app.command("remove")
def remove_command(
    customer_id: CustomerArgument,
    key: Annotated[str, typer.Argument(help="Key of the limit.")],
    *,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Take a customer's own limit away; a plan's limit of the same key holds again.

    Example: billing-server limits remove acme daily
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    client.delete(path_of("customers", customer_id, "limits", key))
    print(f"customer {customer_id} has no limit {key} of its own any more")


@limits_app.command("events")
def events_command(
    *,
    customer: Annotated[str | None, typer.Option(help="Only those of one customer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List thresholds that were passed, rising or falling.

    Example: billing-server limits events --customer acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    query = {"customer": customer}
    found = list(client.entries("/v1/limits/threshold-events", limit=limit, query=query))
    if as_json:
        print_json(found)
        return
    columns = ("event_time", "customer", "limit", "share", "direction", "window")
    print_table(
        "threshold events",
        columns=tuple(name.replace("_", " ") for name in columns),
        right=("share",),
        rows=(tuple(each[name] for name in columns) for each in found),
    )


@limits_app.command("release")
def release_command(
    lease: Annotated[str, typer.Argument(help="Id of the lease, as `limits show` prints it.")],
    *,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give what a lost agent is presumed to have used back to its limit.

    Example: billing-server limits release 0198c0de0198c0de0198c0de0198c0de
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    answer = client.post(path_of("leases", lease, "release"), body={})
    print(f"released: limit {answer['limit']} of customer {answer['customer']} has it back")


@balance_app.command("show")
def show_balance_command(
    customer_id: CustomerArgument,
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what was put into a customer's prepaid balance, and what is left of it.

    Example: billing-server balance show acme
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    _print_balance(client.get(path_of("customers", customer_id, "balance")), as_json=as_json)


@balance_app.command("add")
def add_command(
    customer_id: CustomerArgument,
    amount: Annotated[str, typer.Argument(help="In major units, such as 25.00.")],
    *,
    entry_id: Annotated[
        str, typer.Option("--id", help="Such as a payment's id: the same one is entered once.")
    ],
    note: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Put money into a customer's prepaid balance; after `--`, a negative amount takes it out.

    Example: billing-server balance add acme 25.00 --id payment-17
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"id": entry_id, "amount": amount, "note": note}
    answer = client.post(path_of("customers", customer_id, "balance"), body=body)
    _print_balance(answer, as_json=as_json)


def audit_command(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List what was done by whom, the newest first.

    Example: billing-server audit
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/audit", limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        "audit",
        columns=("time", "actor", "action", "subject", "detail"),
        rows=(
            (
                each["create_time"],
                each["actor"],
                each["action"],
                each["subject"],
                " ".join(f"{name}={value}" for name, value in each["detail"].items()),
            )
            for each in found
        ),
    )


def _print_balance(balance: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(balance)
        return
    told = f"{balance['customer']}: {balance['amount']} {balance['currency'] or ''}".rstrip()
    if balance["left"] is None:
        print(f"{told} paid in; no limit of the customer counts what is used of it")
    else:
        print(f"{told} paid in, {balance['used']} used, {balance['left']} left")


def _where(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    if not all(separator for _, separator, _ in pairs):
        raise ValidationError(reason="FILTER_MALFORMED", message="--where: write DIMENSION=VALUE")
    return {name: value for name, _, value in pairs}


def _lease_row(limit: dict[str, Any], lease: dict[str, Any]) -> tuple[Any, ...]:
    state = "recalled" if lease["is_recalled"] else lease["state"]
    return (
        limit["key"],
        lease["agent"] or "-",
        state,
        lease["rate_per_minute"] if limit["kind"] == "rate" else lease["rest"],
        lease["reserved"],
        lease["report_time"],
        lease["lease"],
    )


def _definition_row(plan: str, limit: dict[str, Any]) -> tuple[Any, ...]:
    subject = next(name for name in ("meter", "amount", "balance", "concurrency") if name in limit)
    return (
        plan,
        limit["key"],
        limit["meter"] if subject == "meter" else subject,
        limit["max"] if subject == "meter" else limit[subject],
        limit.get("window", "-"),
        limit["enforcement"],
    )
