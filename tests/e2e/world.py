"""A server and an agent as real processes on one machine, with a plan whose amounts show counts."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from metering.clock import format_instant
from tools.programs import agent_program, free_port, run_command, server_program

CATALOG = """
meters:
  - {{key: input_tokens, unit: token, aggregation: sum, decimals: 0}}
plans:
  - key: metered
    name: Metered
    currency: USD
    billing_period: month
    anchor: calendar
    prices:
      - {{key: input, kind: usage, meter: input_tokens, model: per_unit, unit_price: "0.01"}}
{limits}
customers:
{customers}
subscriptions:
{subscriptions}
"""


class World:
    """The two programs with their data below one folder."""

    def __init__(self, room: Path, *, customer_ids: list[str], limits: str = "") -> None:
        """Chooses ports and starts nothing; the clock stands at the first second of the month.

        Args:
            room: Folder of all data.
            customer_ids: Each gets a subscription.
            limits: Of the plan, as they stand in a catalog file.
        """
        self.customer_ids = customer_ids
        self._limits = limits.strip("\n")
        # Past by 36 hours: then every event sent now is inside the month and the accept window.
        inside = datetime.now(UTC) - timedelta(hours=36)
        self.month_start = inside.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.month_end = (self.month_start + timedelta(days=32)).replace(day=1)
        self.event_time = min(datetime.now(UTC), self.month_end) - timedelta(hours=1)
        self.room = room
        self.http_port, self.agent_port = free_port(), free_port()
        self.grpc_port = free_port()
        token_file = room / "agent.token"
        self.server = server_program(
            room / "server",
            grpc_port=self.grpc_port,
            http_port=self.http_port,
            extra=[f"--test-clock={format_instant(self.month_start)}"],
        )
        self.agent = agent_program(
            room / "agent", port=self.agent_port, server_port=self.grpc_port, token_file=token_file
        )
        self._token_file = token_file

    @property
    def agent_address(self) -> str:
        """Where services find the agent."""
        return f"127.0.0.1:{self.agent_port}"

    def start(self) -> None:
        """Starts both programs, applies the catalog, enrolls the agent."""
        self.server.start()
        catalog = self.room / "catalog.yaml"
        catalog.write_text(
            CATALOG.format(
                limits=self._limits,
                customers="\n".join(
                    f"  - {{id: {name}, name: {name}, currency: USD, timezone: UTC}}"
                    for name in self.customer_ids
                ),
                subscriptions="\n".join(
                    f"  - {{id: sub-{name}, customer: {name}, plan: metered}}"
                    for name in self.customer_ids
                ),
            )
        )
        self.billing("apply", catalog)
        self.billing("agent", "enroll", "host-1", f"--token-file={self._token_file}")
        self.agent.start()

    def stop(self) -> None:
        """Stops both programs."""
        self.agent.stop()
        self.server.stop()

    def billing(self, *words: str | Path) -> str:
        """Runs a command of billing-server against this server."""
        return run_command(
            "billing-server",
            *words,
            env={
                "BILLING_SERVER_URL": f"http://127.0.0.1:{self.http_port}",
                "BILLING_SERVER_DATA_DIR": str(self.room / "server"),
            },
        )

    def get(self, path: str) -> Any:
        """Reads a resource over HTTP."""
        key = (self.room / "server" / "admin.key").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def drain(self) -> None:
        """Waits until the agent has shipped all it holds."""
        run_command("meter-agent", "drain", f"--address={self.agent_address}", "--timeout=110")

    def close_month(self) -> dict[str, tuple[str, str]]:
        """Advances the clock past the month; returns customer -> (quantity, total) invoiced."""
        self.billing("clock", "advance-to", format_instant(self.month_end + timedelta(days=1)))
        invoices = json.loads(self.billing("invoices", "list", "--json", "--limit=100"))
        invoiced = {}
        for invoice in invoices:
            (line,) = invoice["lines"]
            assert invoice["customer"] not in invoiced, "one invoice a customer"
            invoiced[invoice["customer"]] = (line["quantity"], invoice["total"])
        return invoiced
