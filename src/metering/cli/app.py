"""The console script `meter`."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from metering.cli.pace import parse_speed
from metering.cli.progress import replay_progress
from metering.cli.replay import BUFFER_EVENT_COUNT_MAX, Replay, ReplayPlan
from metering.cli.trace import TraceSurvey, read_trace, survey_trace
from metering.client import Meter, MeterOptions, MeterStats
from metering.clock import parse_instant
from metering.errors import MeteringError, UnavailableError, ValidationError

app = typer.Typer(
    name="meter",
    help="Records usage with the agent on this host, from shell scripts and tests.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent",
        metavar="ADDRESS",
        help="HOST:PORT or unix:PATH. Default: METER_AGENT_ADDRESS, else the default socket, "
        "else 127.0.0.1:4270.",
    ),
]


@app.callback()
def _meter() -> None:
    """Records usage with the agent on this host, from shell scripts and tests."""


@app.command(
    epilog="Example: meter record --customer acme --quantity input_tokens=1200 "
    "--dimension model=large"
)
def record(
    *,
    customer: Annotated[str, typer.Option(help="Whose usage.")],
    quantity: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="What was used; may be repeated.")
    ],
    dimension: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What it is priced by; may be repeated."),
    ] = None,
    event_id: Annotated[
        str | None, typer.Option(help="Id of the use; the same id counts once. Default: a new one.")
    ] = None,
    event_time: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When, RFC 3339. Default: now.")
    ] = None,
    agent: AgentOption = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for the agent.")] = 10.0,
) -> None:
    """Records one usage event and prints its id once the agent has it on disk."""
    quantities = parse_pairs(quantity, option="--quantity")
    dimensions = parse_pairs(dimension or [], option="--dimension")
    moment = parse_instant(event_time) if event_time is not None else None
    with Meter(agent, options=MeterOptions(close_timeout_seconds=0)) as meter:
        recorded_id = meter.record(
            customer=customer,
            quantities=quantities,
            dimensions=dimensions,
            event_id=event_id,
            event_time=moment,
        )
        is_settled = meter.flush(timeout=timeout)
        stats = meter.stats()
        if stats.rejected:
            raise ValidationError(reason="EVENT_REFUSED", message=stats.last_error)
        if not is_settled:
            raise UnavailableError(
                reason="AGENT_UNAVAILABLE",
                message=f"the agent at {meter.address} did not answer within {timeout:g} s "
                f"({stats.last_error or 'no answer'}); start it with `meter-agent serve`, or name "
                "another with --agent.",
            )
    typer.echo(recorded_id)


@app.command(
    epilog="Example: meter replay trace.csv --customers 100 --start 2026-11-01T00:00:00Z "
    "--speed max"
)
def replay(
    *,
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE.csv", help="Columns TIMESTAMP, ContextTokens, GeneratedTokens."
        ),
    ],
    customers: Annotated[
        int, typer.Option(min=1, help="Row n goes to customer-{n mod CUSTOMERS}.")
    ],
    start: Annotated[
        str, typer.Option(metavar="INSTANT", help="When the first row is to have happened.")
    ],
    speed: Annotated[str, typer.Option(metavar="max|realtime|N", help="N: times as fast.")] = "max",
    model: Annotated[str, typer.Option(help="Value of the dimension model.")] = "default",
    limit: Annotated[int | None, typer.Option(min=1, help="Replay so many rows only.")] = None,
    agent: AgentOption = None,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds that the agent may take nothing.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Replays a trace of AI calls as usage events; run twice, it counts once.

    The whole file is checked before anything is sent. The agent may be killed and restarted
    meanwhile.
    """
    plan = ReplayPlan(
        start=parse_instant(start),
        customer_count=customers,
        model=model,
        speed=parse_speed(speed),
        row_limit=limit,
        patience_seconds=patience,
    )
    started = time.monotonic()
    survey, stats = _replay_file(trace, plan, agent=agent)
    summary = _summary(trace, survey, stats, plan=plan, seconds=time.monotonic() - started)
    typer.echo(json.dumps(summary) if as_json else _sentence(summary))
    if stats.rejected or stats.dropped:
        raise ValidationError(
            reason="EVENTS_REFUSED",
            message=f"{stats.rejected} events were refused and {stats.dropped} dropped; the last: "
            f"{stats.last_error}",
        )


def _replay_file(
    trace: Path, plan: ReplayPlan, *, agent: str | None
) -> tuple[TraceSurvey, MeterStats]:
    try:
        with trace.open("rb") as file:
            survey = survey_trace(file, name=str(trace))
            options = MeterOptions(
                buffer_event_count_max=BUFFER_EVENT_COUNT_MAX, close_timeout_seconds=0
            )
            with Meter(agent, options=options) as meter:
                run_length = min(plan.row_limit or survey.row_count, survey.row_count)
                with replay_progress(
                    f"replaying {trace.name}", row_count=run_length, console=Console(stderr=True)
                ) as show:
                    file.seek(0)
                    run = Replay(plan, meter=meter, survey=survey, on_progress=show)
                    stats = run.run(read_trace(file, name=str(trace)))
    except OSError as error:
        raise ValidationError(
            reason="TRACE_UNREADABLE",
            message=f"{trace}: cannot be read ({error.strerror}); give the path of a trace file.",
        ) from error
    return survey, stats


def _summary(
    trace: Path, survey: TraceSurvey, stats: MeterStats, *, plan: ReplayPlan, seconds: float
) -> dict[str, object]:
    return {
        "trace": trace.name,
        "sha256": survey.sha256,
        "rows": stats.recorded,
        "customers": plan.customer_count,
        "accepted": stats.accepted,
        "rejected": stats.rejected,
        "dropped": stats.dropped,
        "retries": stats.retries,
        "seconds": round(seconds, 3),
    }


def _sentence(summary: dict[str, object]) -> str:
    return (
        "replayed {rows} rows of {trace} for {customers} customers in {seconds} s: "
        "{accepted} accepted, {rejected} refused, {retries} retries"
    ).format(**summary)


def parse_pairs(pairs: list[str], *, option: str) -> dict[str, str]:
    """Reads repeated `NAME=VALUE`.

    Raises:
        ValidationError: PAIR_MALFORMED or PAIR_REPEATED, naming the option.
    """
    parsed: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise ValidationError(
                reason="PAIR_MALFORMED",
                message=f"{option}: {pair!r} is no pair; write NAME=VALUE.",
            )
        if name in parsed:
            raise ValidationError(
                reason="PAIR_REPEATED",
                message=f"{option}: {name!r} is given twice; give each name once.",
            )
        parsed[name] = value
    return parsed


def main() -> None:
    """Runs `meter`; an error is one line on standard error, and the exit code 1."""
    # The commands say themselves what became of their events.
    logging.getLogger("metering.client").addHandler(logging.NullHandler())
    logging.getLogger("metering.client").propagate = False
    try:
        app()
    except MeteringError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
