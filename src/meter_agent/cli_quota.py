"""Commands that look at quota: reservations that nobody settled."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from meter_agent.cli_target import agent_targets, call_agent
from metering.errors import MeteringError

if TYPE_CHECKING:
    from metering.api.v1.agent_pb2 import UnsettledReservation

Fail = Callable[[MeteringError], NoReturn]
PAGE_SIZE = 500


def add_quota_commands(app: typer.Typer, *, fail: Fail) -> None:
    """Adds the commands.

    Args:
        app: The agent's command line.
        fail: Says an error and ends the process.
    """
    app.command(
        "reservations", epilog="Example:  meter-agent reservations --json | jq .customer_id"
    )(_reservations_command(fail))


def _reservations_command(fail: Fail) -> Callable[..., None]:
    def reservations(
        as_json: Annotated[  # noqa: FBT002 - a switch of the command line
            bool, typer.Option("--json", help="Print one JSON object a line.")
        ] = False,
        address: Annotated[
            str | None, typer.Option(help="Where the agent listens.  [default: as `serve`]")
        ] = None,
        data_dir: Annotated[Path | None, typer.Option(help="The agent's data directory.")] = None,
        config: Annotated[Path | None, typer.Option(help="The agent's TOML file.")] = None,
        instance: Annotated[str | None, typer.Option(help="Name of the agent's instance.")] = None,
    ) -> None:
        """Lists reservations that expired and that nobody settled: possible leaks of revenue.

        Their callers died, or forgot to settle. A late settlement takes one off the list.
        """
        try:
            targets = agent_targets(address, data_dir=data_dir, config=config, instance=instance)
            for item in _all(targets):
                typer.echo(json.dumps(to_json(item)) if as_json else to_text(item))
        except MeteringError as error:
            fail(error)

    return reservations


def to_json(item: "UnsettledReservation") -> dict[str, Any]:
    """Returns an entry of the list for a program, instants as RFC 3339."""
    from metering.clock import format_instant

    return {
        "reservation_id": item.reservation_id,
        "customer_id": item.customer_id,
        "caller": item.caller,
        "dimensions": dict(item.dimensions),
        "granted": dict(item.granted),
        "used_so_far": dict(item.used_so_far),
        "reserve_time": format_instant(item.reserve_time.ToDatetime(tzinfo=UTC)),
        "expire_time": format_instant(item.expire_time.ToDatetime(tzinfo=UTC)),
        "is_returned": item.is_returned,
    }


def to_text(item: "UnsettledReservation") -> str:
    """Returns an entry of the list for a person, on one line."""
    shown = to_json(item)
    state = "given back" if item.is_returned else "presumed used"
    granted = _pairs(shown["granted"])
    used = f", told {_pairs(shown['used_so_far'])}" if item.used_so_far else ""
    labels = f" {_pairs(shown['dimensions'])}" if item.dimensions else ""
    return (
        f"{shown['expire_time']}  {item.customer_id}{labels}  {granted}{used}  {state}  "
        f"by {item.caller or '(unknown)'}  {item.reservation_id}"
    )


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))


def _all(targets: tuple[str, ...]) -> Iterator["UnsettledReservation"]:
    from metering.api.v1 import agent_pb2

    request = agent_pb2.ListUnsettledReservationsRequest(page_size=PAGE_SIZE)
    while True:
        page = call_agent(targets, "ListUnsettledReservations", request)
        yield from page.reservations
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
