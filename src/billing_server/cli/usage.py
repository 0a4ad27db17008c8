"""`billing-server usage …`: single events, their corrections, adjustments and backfill."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
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
)
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.output import print_json, print_table
from metering.clock import parse_instant
from metering.errors import MeteringError, ValidationError

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List events, correct them, adjust a meter, import old usage.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50
IMPORT_EVENTS = 1_000
"""Events of one call of the API."""
_EVENT = re.compile(r"events\[(\d+)\]\.?")

CustomerOption = Annotated[
    str | None, typer.Option(help="Whose; needed only where several have this event id.")
]
ReasonOption = Annotated[str, typer.Option(help="Why, for people.")]


@app.callback()
def usage_group() -> None:
    """List events, correct them, adjust a meter, import old usage."""


def _check_window(start: str, *, end: str) -> None:
    """Refuse a window that is none by the names that its options have here.

    The API calls them `start` and `end`, which nobody has typed.
    """
    if _instant(start, option="--from") >= _instant(end, option="--to"):
        raise ValidationError(reason="WINDOW_EMPTY", message="--to must be later than --from")


def _instant(text: str, *, option: str) -> datetime:
    try:
        return parse_instant(text)
    except ValidationError as error:
        message = f"{option}: {error.message}"
        raise ValidationError(reason=error.reason, message=message) from error


@app.command("events")
def events_command(
    *,
    customer: Annotated[str, typer.Option(help="Whose usage.")],
    meter: Annotated[str, typer.Option(help="Of which meter.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339 instant on a whole minute.")],
    end: Annotated[str, typer.Option("--to", help="RFC 3339 instant, exclusive.")],
    where: Annotated[
        list[str] | None, typer.Option(help="DIMENSION=VALUE that an event must carry.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the events that a meter counts in a window, in order of their time.

    Example: billing-server usage events --customer acme --meter input_tokens
    --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    _check_window(start, end=end)
    query = {"customer": customer, "meter": meter, "start": start, "end": end, "where": where}
    found = list(client.entries("/v1/usage/events", limit=limit, query=query))
    if as_json:
        print_json(found)
        return
    print_table(
        "events",
        columns=("event", "event time", "quantity", "dimensions", "correction"),
        rows=(
            (
                each["event_id"],
                each["event_time"],
                each["quantity"],
                " ".join(f"{key}={value}" for key, value in each["dimensions"].items()),
                "" if each["correction"] is None else each["correction"]["kind"],
            )
            for each in found
        ),
    )


@app.command("adjustments")
def adjustments_command(
    *,
    customer: Annotated[str, typer.Option(help="Whose usage.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339 instant.")],
    end: Annotated[str, typer.Option("--to", help="RFC 3339 instant, exclusive.")],
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List what was added to the meters of a customer by hand, in order of the time it counts.

    Example: billing-server usage adjustments --customer acme
    --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    _check_window(start, end=end)
    query = {"customer": customer, "start": start, "end": end}
    found = list(client.entries("/v1/usage/adjustments", limit=limit, query=query))
    if as_json:
        print_json(found)
        return
    print_table(
        "adjustments",
        columns=("adjustment", "event time", "meter", "quantity", "dimensions", "priced", "reason"),
        right=("quantity",),
        rows=(
            (
                each["id"],
                each["event_time"],
                each["meter"],
                each["quantity"],
                " ".join(f"{key}={value}" for key, value in each["dimensions"].items()),
                "yes" if each["is_priced"] else "no",
                each["reason"],
            )
            for each in found
        ),
    )


@app.command("void")
def void_command(
    event_id: Annotated[str, typer.Argument(help="Id of an event that was counted.")],
    *,
    customer: CustomerOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let an event count nothing from now on; it is kept as it came.

    Example: billing-server usage void 0197… --reason "load test"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {"event_id": event_id, "customer": customer, "reason": reason}
    answer = client.post("/v1/usage/void", body=body)
    if as_json:
        print_json(answer)
    else:
        print(f"event {answer['event_id']} of {answer['customer']} counts nothing from now on")


@app.command("amend")
def amend_command(
    event_id: Annotated[str, typer.Argument(help="Id of an event that was counted.")],
    quantity: Annotated[list[str], typer.Argument(help="NAME=VALUE: all that counts from now on.")],
    *,
    customer: CustomerOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let an event count other quantities from now on; it is kept as it came.

    Example: billing-server usage amend 0197… input_tokens=1200 --reason "recount"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    quantities = dict(pair_of(each, field="quantity") for each in quantity)
    body = {
        "event_id": event_id,
        "customer": customer,
        "quantities": quantities,
        "reason": reason,
    }
    answer = client.post("/v1/usage/amend", body=body)
    if as_json:
        print_json(answer)
    else:
        shown = ", ".join(f"{name} {value}" for name, value in answer["quantities"].items())
        print(f"event {answer['event_id']} of {answer['customer']} counts {shown} from now on")


@app.command("adjust")
def adjust_command(
    *,
    customer: Annotated[str, typer.Option(help="Whose usage.")],
    meter: Annotated[str, typer.Option(help="Of which meter.")],
    quantity: Annotated[str, typer.Option(help="Signed decimal, e.g. -1200.")],
    reason: Annotated[str, typer.Option(help="Why, for people.")],
    event_time: Annotated[str | None, typer.Option(help="When it counts. Default: now.")] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE with which it counts.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Add a signed quantity to a meter of a customer, with the reason.

    Example: billing-server usage adjust --customer acme --meter input_tokens --quantity -1200
    --reason "counted twice by a bug of ours"
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    body = {
        "customer": customer,
        "meter": meter,
        "quantity": quantity,
        "reason": reason,
        "event_time": event_time,
        "dimensions": dict(pair_of(each, field="dimension") for each in dimension or ()),
    }
    answer = client.post("/v1/usage/adjust", body=body)
    if as_json:
        print_json(answer)
    else:
        sign = "" if answer["quantity"].startswith("-") else "+"
        print(
            f"{answer['id']}: {answer['meter']} of {answer['customer']} {sign}{answer['quantity']} "
            f"at {answer['event_time']}"
        )
        if not answer["is_priced"]:
            print("no price charges it: see its time, and --dimension, by which prices are chosen")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="JSON Lines: one event a line.", exists=True)],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Count old usage from a file, each event exactly once; to import it twice is safe.

    A line is {"event_id": "…", "customer": "…", "event_time": "…Z", "quantities": {"…": "…"},
    "dimensions": {"…": "…"}}. It may be older than what agents accept.

    Example: billing-server usage import january.jsonl
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    total = dict.fromkeys(("counted", "duplicates", "conflicts", "quarantined"), 0)
    for part in _parts(_events(file)):
        answer = _import(client, part, file=file, done=total)
        for name in total:
            total[name] += answer[name]
    if as_json:
        print_json(total)
    else:
        print(_tally_text(total))


def _tally_text(total: dict[str, int]) -> str:
    words = [
        f"{total[name]} {name if total[name] != 1 else name[:-1]}"
        for name in ("duplicates", "conflicts")
    ]
    return ", ".join((f"{total['counted']} counted", *words, f"{total['quarantined']} quarantined"))


def _import(
    client: ApiClient, part: list[tuple[int, dict[str, Any]]], *, file: Path, done: dict[str, int]
) -> dict[str, Any]:
    """Count some events; an error names the line of the file, not the place in the call."""
    try:
        answer: dict[str, Any] = client.post(
            "/v1/usage/import", body={"events": [event for _, event in part]}
        )
    except MeteringError as error:

        def placed(text: str) -> str:
            return _EVENT.sub(lambda match: f"{file}:{part[int(match[1])][0]}: ", text)

        counted = any(done.values())
        raise ValidationError(
            reason=error.reason,
            message="\n".join(
                [
                    *(placed(f"{each.field}: {each.description}") for each in error.violations),
                    *([] if error.violations else [placed(error.message)]),
                    *([f"of the lines before: {_tally_text(done)}"] if counted else []),
                    "correct the file and import it again: what is counted stays counted once",
                ]
            ),
        ) from error
    return answer


def _parts(
    events: Iterator[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    while part := list(islice(events, IMPORT_EVENTS)):
        yield part


def _events(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Walk the events of a file with their lines."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except ValueError as error:
                raise _line_error(file, number, str(error)) from error
            if not isinstance(event, dict):
                raise _line_error(file, number, "an object belongs here")
            yield number, event


def _line_error(file: Path, number: int, problem: str) -> ValidationError:
    return ValidationError(
        reason="FILE_MALFORMED", message=f"{file}: line {number}: no JSON object: {problem}"
    )


def pair_of(text: str, *, field: str) -> tuple[str, str]:
    """Return name and value of `NAME=VALUE`.

    Raises:
        ValidationError: PAIR_MALFORMED.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValidationError(
            reason="PAIR_MALFORMED", message=f"{field}: {text!r} is not NAME=VALUE"
        )
    return name, value
