"""A storm of client crashes: what nobody settles must not stay held."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from metering import Meter
from tests.bench.programs import ROOT, Running
from tests.bench.quota.leases import CUSTOMER, AgentHost, Leases
from tests.bench.row import BenchRow
from tools.programs import run_command

AGENTS: Final = 2
CLIENTS_AN_AGENT: Final = 4
CALLS_A_CLIENT: Final = 50
CALL: Final = 100
TTL: Final = timedelta(seconds=5)
LATE_SECONDS: Final = 5
"""`t_late`, 15 minutes by default."""
TICK_SECONDS: Final = 2
"""What is due is looked for every second."""


def measure() -> list[BenchRow]:
    """Kills clients in mid-call, one agent too, and counts what is held when it is time."""
    calls = AGENTS * CLIENTS_AN_AGENT * CALLS_A_CLIENT
    limit = calls * CALL
    env = {"METER_AGENT_RESERVATION_LATE_SECONDS": str(LATE_SECONDS)}
    design = Leases(host_count=AGENTS, agent_env=env)
    with design.running(limit):
        with _clients(design):
            before = sum(_held_count(host) for host in design.agents)
        killed = time.monotonic()
        design.agents[0].kill()
        wait = TTL.total_seconds() + LATE_SECONDS + TICK_SECONDS
        time.sleep(max(0.0, killed + wait - time.monotonic()))
        after = sum(_held_count(host) for host in design.agents)
        whole = _granted_whole(design.agents[1], tokens=limit)
    return [
        BenchRow(
            f"reservations still holding after {AGENTS * CLIENTS_AN_AGENT} clients and an agent "
            "were killed, past ttl + t_late",
            after,
            "",
            "0",
            note=f"{before} held before",
        ),
        BenchRow(
            "of the limit that one call can have then",
            100.0 * whole,
            "%",
            "100",
            note="asked at the other agent",
        ),
    ]


@contextmanager
def _clients(design: Leases) -> Iterator[None]:
    """Runs clients that hold all they reserved; at the end they are killed."""
    clients = []
    try:
        for host in design.agents:
            for _ in range(CLIENTS_AN_AGENT):
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.bench.quota.crashes", host.address],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                clients.append(Running(process, ""))
        for client in clients:
            assert client.next_line() == "held", "a client could not reserve"
        yield
    finally:
        for client in clients:
            client.end(signal.SIGKILL)


def _held_count(host: AgentHost) -> int:
    status = json.loads(run_command("meter-agent", "status", "--json", f"--address={host.address}"))
    return int(status["held_reservation_count"]) + int(status["expired_reservation_count"])


def _granted_whole(host: AgentHost, *, tokens: int) -> bool:
    with host.meter.reserve(customer=CUSTOMER, quantities={"tokens": tokens}) as reservation:
        is_whole = int(reservation.granted["tokens"]) == tokens
        reservation.release()
    return is_whole


def main() -> None:
    """A client: reserves, says so, and never settles."""
    meter = Meter(sys.argv[1])
    held = [
        meter.reserve(customer=CUSTOMER, quantities={"tokens": CALL}, ttl=TTL).__enter__()
        for _ in range(CALLS_A_CLIENT)
    ]
    print("held", flush=True)
    time.sleep(3_600)
    del held


if __name__ == "__main__":
    main()
