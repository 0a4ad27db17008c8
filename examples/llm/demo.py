"""The whole path on one machine: traffic in, both programs killed meanwhile, exact invoices out.

Example:
    make demo
    make demo TRACE=path/to/trace.csv
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from examples.llm.invoices import compare, print_invoices
from examples.llm.limited import CUSTOMER, LimitedCustomer, read_calls
from examples.llm.live import LiveView
from metering.clock import format_instant
from tools.programs import (
    BIN,
    Program,
    ProgramError,
    agent_program,
    free_port,
    run_command,
    server_program,
)

HERE = Path(__file__).resolve().parent
ROOM = Path(".demo").resolve()
CATALOG = HERE / "catalog.yaml"
SMALL_TRACE = HERE / "trace-small.csv"
CUSTOMER_COUNT = 8
REPLAY_SECONDS = 18
TRACE_HOURS_MAX = 12
UNPRICED_MODEL = "experimental"


def trace_duration(path: Path) -> timedelta:
    """Returns the time between the first and the last row of a trace.

    Raises:
        ProgramError: the file has no rows, or spans more than the demo can place in one month.
    """
    with path.open() as lines:
        next(lines, None)
        first = last = next(lines, "")
        for last in lines:  # noqa: B007 - the last row is what is wanted
            pass
    if not first:
        raise ProgramError(
            f"{path}: no data rows; expected TIMESTAMP,ContextTokens,GeneratedTokens"
        )
    begin, end = (datetime.fromisoformat(row.split(",")[0][:26]) for row in (first, last))
    if end - begin > timedelta(hours=TRACE_HOURS_MAX):
        raise ProgramError(f"{path} spans {end - begin}; the demo takes up to {TRACE_HOURS_MAX} h")
    return end - begin


def place_in_month(now: datetime, *, duration: timedelta) -> tuple[datetime, datetime, datetime]:
    """Chooses when the demo plays: start of the subscriptions, first event, after the month.

    The month is the current one, in every customer's time zone and inside the agent's accept
    window; in a month's first 36 hours, when some zones are still in the month before, it is
    that one.
    """
    inside = now - timedelta(hours=36)
    month_start = inside.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month_end = (month_start + timedelta(days=32)).replace(day=1)
    subscribed_at = month_start + timedelta(hours=15)
    first_event = min(now - timedelta(hours=1), month_end - timedelta(hours=15)) - duration
    return subscribed_at, first_event.replace(microsecond=0), month_end + timedelta(days=1)


class Demo:
    """The two programs, where they keep their data, and what is played on them."""

    def __init__(self, trace: Path) -> None:
        """Chooses ports and instants; starts nothing."""
        self.traces = [(trace, "large"), (SMALL_TRACE, "small")]
        duration = max(trace_duration(path) for path, _ in self.traces)
        self.speed = max(1, round(duration.total_seconds() / REPLAY_SECONDS))
        self.subscribed_at, self.first_event, self.after_month = place_in_month(
            datetime.now(UTC), duration=duration
        )
        self.http_port, self.grpc_port, self.agent_port = free_port(), free_port(), free_port()
        self.server_dir = ROOM / "server"
        self.token_file = ROOM / "agent.token"
        self.server = server_program(
            self.server_dir,
            grpc_port=self.grpc_port,
            http_port=self.http_port,
            extra=[f"--test-clock={format_instant(self.subscribed_at)}"],
        )
        self.agent = agent_program(
            ROOM / "agent",
            port=self.agent_port,
            server_port=self.grpc_port,
            token_file=self.token_file,
        )
        self.limited = LimitedCustomer(
            f"127.0.0.1:{self.agent_port}",
            calls=read_calls(SMALL_TRACE, first_event=self.first_event),
            seconds=REPLAY_SECONDS,
        )

    def billing(self, *words: str | Path) -> str:
        """Runs a command of billing-server against the demo's server."""
        return run_command(
            "billing-server",
            *words,
            env={
                "BILLING_SERVER_URL": f"http://127.0.0.1:{self.http_port}",
                "BILLING_SERVER_DATA_DIR": str(self.server_dir),
            },
        )

    def replay_words(self, trace: Path, *, model: str, speed: str) -> list[str]:
        """Returns the command line that replays one trace."""
        return [
            "replay",
            str(trace),
            f"--customers={CUSTOMER_COUNT}",
            f"--start={format_instant(self.first_event)}",
            f"--speed={speed}",
            f"--model={model}",
            f"--agent=127.0.0.1:{self.agent_port}",
        ]

    def set_up(self) -> None:
        """Starts both programs and gives the server its catalog and the agent its token."""
        say(f"server on a test clock at {format_instant(self.subscribed_at)}")
        self.server.start()
        self.billing("apply", CATALOG)
        self.billing("agent", "enroll", "demo-host", f"--token-file={self.token_file}")
        say("agent beside the service, enrolled with a token of its own")
        self.agent.start()

    def play(self) -> None:
        """Replays the traces while both programs are killed, then once more at full speed."""
        view = LiveView(
            url=f"http://127.0.0.1:{self.http_port}",
            api_key=(self.server_dir / "admin.key").read_text().strip(),
            customer_ids=[f"customer-{number}" for number in range(CUSTOMER_COUNT)],
            request_count=sum(_row_count(path) for path, _ in self.traces),
        )
        say(f"replaying {view.request_count} requests at {self.speed} times their speed")
        say(f"beside it, {CUSTOMER} asks the agent before each call: it has a hard limit")
        replays = [
            subprocess.Popen(
                [str(BIN / "meter"), *self.replay_words(path, model=model, speed=str(self.speed))],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for path, model in self.traces
        ]
        faults = [(0.25, "agent", self.agent), (0.55, "server", self.server)]
        with view:
            self.limited.start()
            began = time.monotonic()
            while any(replay.poll() is None for replay in replays):
                view.refresh()
                if faults and time.monotonic() - began > faults[0][0] * REPLAY_SECONDS:
                    _, name, program = faults.pop(0)
                    _kill_and_restart(name, program, view)
                time.sleep(0.25)
            for replay in replays:
                _, said = replay.communicate()
                if replay.returncode != 0:
                    raise ProgramError(f"meter replay failed: {said.decode(errors='replace')}")
            self.limited.finish()
            self.drain()
            view.refresh()
        if faults:
            raise ProgramError("the replay ended before both programs were killed")

    def drain(self) -> None:
        """Waits until the agent has shipped all that it holds."""
        address = f"--address=127.0.0.1:{self.agent_port}"
        run_command("meter-agent", "drain", address, "--timeout=60")

    def check_limit(self) -> None:
        """Compares what the limited customer used with its limit, as the server counts it."""
        mine = self.limited
        (limit,) = json.loads(self.billing("limits", "show", CUSTOMER, "--json"))
        if mine.refusal is None or mine.granted_count == 0:
            raise ProgramError(f"{CUSTOMER} was not refused before a call: {limit}")
        say(
            f"{CUSTOMER}: {mine.granted_count} calls granted ({mine.shortened_count} of them with"
            f" fewer tokens), {mine.refused_count} refused before they were made"
        )
        denied = mine.refusal
        left = denied.remaining.get("output_tokens", 0)
        print(f"  ✗ QuotaDenied: {denied.reason}, limit {denied.limit_key}, {left} tokens left")
        print(f"  used {limit['used']} of {limit['max']} output tokens")
        if not int(limit["used"]) == mine.output_tokens <= int(limit["max"]):
            raise ProgramError(f"the limit shows {limit}, the calls used {mine.output_tokens}")

    def play_again(self) -> None:
        """Sends every event a second time, and one that no price matches."""
        say("replaying the same traffic once more at full speed: each event counts once")
        for path, model in self.traces:
            run_command("meter", *self.replay_words(path, model=model, speed="max"))
        run_command(
            "meter",
            "record",
            "--customer=customer-0",
            "--quantity=input_tokens=5000",
            f"--dimension=model={UNPRICED_MODEL}",
            f"--event-time={format_instant(self.first_event)}",
            f"--agent=127.0.0.1:{self.agent_port}",
        )
        self.drain()
        shown = json.loads(self.billing("customers", "show", "customer-0", "--json"))
        unpriced = shown["upcoming_invoice"]["unpriced"]
        if [entry["quantity"] for entry in unpriced] != ["5000"]:
            raise ProgramError(f"usage without a price is not shown: {unpriced}")
        say(f"model '{UNPRICED_MODEL}' has no price: counted, rated 0 and shown as unpriced")

    def close_month(self) -> bool:
        """Moves the clock past the month's end; prints and compares the invoices."""
        say(f"advancing the clock to {format_instant(self.after_month)}")
        self.billing("clock", "advance-to", format_instant(self.after_month))
        invoices = json.loads(self.billing("invoices", "list", "--json", "--limit=100"))
        print_invoices(invoices, show_one=lambda number: self.billing("invoices", "show", number))
        return compare(
            invoices,
            catalog_path=CATALOG,
            traces=self.traces,
            subscribed_at=self.subscribed_at,
            customer_count=CUSTOMER_COUNT,
            metered={CUSTOMER: self.limited.usage},
        )

    def stop(self) -> None:
        """Stops both programs."""
        self.agent.stop()
        self.server.stop()


def _row_count(path: Path) -> int:
    with path.open() as lines:
        return sum(1 for _ in lines) - 1


def _kill_and_restart(name: str, program: Program, view: LiveView) -> None:
    view.note(f"kill -9 {name}")
    program.kill()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        view.refresh()
        time.sleep(0.25)
    program.start()
    view.note(f"{name} is back")


def say(text: str) -> None:
    """Prints one step of the demo."""
    print(f"• {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns 0 where every invoice equals the recomputation."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--trace", type=Path, default=HERE / "trace-large.csv")
    trace = parser.parse_args(arguments).trace
    shutil.rmtree(ROOM, ignore_errors=True)
    ROOM.mkdir()
    try:
        demo = Demo(trace)
    except (OSError, ValueError, ProgramError) as error:
        print(f"demo: {trace}: {error}", file=sys.stderr)
        return 2
    try:
        demo.set_up()
        demo.play()
        demo.check_limit()
        demo.play_again()
        is_equal = demo.close_month()
    except ProgramError as error:
        print(f"demo: {error}\ndemo: the programs' logs are in {ROOM}", file=sys.stderr)
        return 1
    finally:
        demo.stop()
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
