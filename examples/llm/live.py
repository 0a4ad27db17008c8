"""Shows the charges of the demo's customers while they grow."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

SECONDS_BETWEEN_READS = 1.0
SECONDS_BETWEEN_LINES = 3.0


class LiveView:
    """A table and a progress bar on a terminal; a line now and then in a pipe."""

    def __init__(
        self, *, url: str, api_key: str, customer_ids: Sequence[str], request_count: int
    ) -> None:
        """Reads nothing yet; `request_count` is how many requests will have been counted."""
        self.request_count = request_count
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._customer_ids = customer_ids
        self._charges = dict.fromkeys(customer_ids, ("0", "0.00"))
        self._notes: list[str] = []
        self._read_at = self._line_at = 0.0
        self._progress = Progress(TextColumn("counted"), BarColumn(), MofNCompleteColumn())
        self._task = self._progress.add_task("counted", total=request_count)
        self._live = Live(console=Console(), auto_refresh=False) if sys.stdout.isatty() else None

    def __enter__(self) -> "LiveView":
        """Takes the terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the terminal back, or prints the last line."""
        if self._live:
            self._live.stop()
        else:
            self._print_line()

    def note(self, text: str) -> None:
        """Tells what has just been done to the programs."""
        self._notes.append(text)
        if not self._live:
            print(f"  ✗ {text}" if text.startswith("kill") else f"  ✓ {text}", flush=True)

    def refresh(self) -> None:
        """Reads the live charges at most once a second, and shows them."""
        now = time.monotonic()
        if now - self._read_at >= SECONDS_BETWEEN_READS:
            self._read_at = now
            self._read_charges()
        if self._live:
            self._progress.update(self._task, completed=self._counted())
            self._live.update(Group(self._table(), self._progress), refresh=True)
        elif now - self._line_at >= SECONDS_BETWEEN_LINES:
            self._line_at = now
            self._print_line()

    def _read_charges(self) -> None:
        for customer_id in self._customer_ids:
            request = urllib.request.Request(  # noqa: S310 - the demo's own server on loopback
                f"{self._url}/v1/customers/{customer_id}/upcoming-invoice", headers=self._headers
            )
            try:
                with urllib.request.urlopen(request, timeout=2) as reply:  # noqa: S310 - as above
                    invoice = json.load(reply)
            except (urllib.error.URLError, OSError):
                return  # the server is being killed: the last figures stand
            requests = [line["quantity"] for line in _usage_lines(invoice, price="requests")]
            self._charges[customer_id] = (requests[0] if requests else "0", _usage_total(invoice))

    def _counted(self) -> int:
        return sum(int(requests) for requests, _ in self._charges.values())

    def _table(self) -> Table:
        table = Table("customer", "requests", "charge for usage so far", title="live")
        for customer_id, (requests, amount) in self._charges.items():
            table.add_row(customer_id, requests, f"${amount}")
        table.caption = " · ".join(self._notes[-4:])
        return table

    def _print_line(self) -> None:
        amounts = " ".join(amount for _, amount in self._charges.values())
        print(
            f"  {self._counted():>6} of {self.request_count} counted; charges {amounts}", flush=True
        )


def _usage_lines(invoice: dict, *, price: str) -> list[dict]:
    return [line for line in invoice["lines"] if line["price"] == price]


def _usage_total(invoice: dict) -> str:
    cents = sum(
        int(line["amount"].replace(".", "")) for line in invoice["lines"] if line["kind"] == "usage"
    )
    return f"{cents // 100}.{cents % 100:02d}"
