"""An hour of real time with every agent connected, and clients that are killed all along.

Nothing is cut off; nobody settles what killed clients had reserved. At the end all clients are
killed at once. Past ttl and `t_late` nothing may still hold, and what was not used must be had
again, to the last token: all of it by one call at one agent. The limit is never reached, so each
refusal meanwhile is a false one.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, TextIO

from metering import Meter, QuotaDenied
from tests.bench.programs import ROOT, bench_directory
from tests.bench.quota.calls import SAMPLE, Call, read_calls
from tests.bench.quota.leases import CUSTOMER, AgentHost, Leases
from tests.bench.row import BenchRow
from tools.programs import run_command

HOSTS: Final = 4
CALLERS_A_HOST: Final = 3
CALL_SECONDS: Final = (0.5, 4.0)
PAUSE_SECONDS: Final = (0.0, 1.0)
KILL_PAUSE_SECONDS: Final = (5.0, 25.0)
PROGRESS_SECONDS: Final = 300.0
TTL: Final = timedelta(minutes=2)
"""The SDK's default."""
LATE: Final = timedelta(minutes=15)
"""`t_late`, the agent's default."""
TICK_SECONDS: Final = 2
"""What is due is looked for every second."""
ROOM: Final = 1.25
"""The limit, in what the callers use if each call takes its mean time."""


class _Clients:
    """One client process a host, and what all of them said."""

    def __init__(self, hosts: Sequence[AgentHost], *, ttl: timedelta, log: Path) -> None:
        self._hosts = hosts
        self._ttl = ttl
        self._log = log
        self._running: list[subprocess.Popen[bytes]] = []
        self.kill_count = 0

    def start(self) -> None:
        self._running = [self._spawn(host) for host in self._hosts]

    def replace(self, number: int) -> None:
        """Kills the client of a host in mid-call and starts another one."""
        self._kill(self._running[number])
        self._running[number] = self._spawn(self._hosts[number])

    def kill_all(self) -> None:
        for process in self._running:
            self._kill(process)
        self._running = []

    def said(self) -> Counter[str]:
        """Returns how many calls of all clients were settled, and refused for which reason."""
        return Counter(self._log.read_text().split())

    def _spawn(self, host: AgentHost) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.bench.quota.hour",
                    host.address,
                    str(self._ttl.total_seconds()),
                ],
                cwd=ROOT,
                stdout=log,
            )

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self.kill_count += 1


def measure(
    *, seconds: float, ttl: timedelta = TTL, late: timedelta = LATE, seed: int = 1
) -> list[BenchRow]:
    """Lets callers go on, ends them, and counts what is held and what cannot be had.

    Args:
        seconds: how long calls are made, before the wait for `ttl` and `late`.
        ttl: of each reservation.
        late: how long what expired is presumed used.
        seed: of which client is killed when.
    """
    env = {"METER_AGENT_RESERVATION_LATE_SECONDS": str(late.total_seconds())}
    design = Leases(host_count=HOSTS, agent_env=env)
    limit = _limit(seconds)
    with bench_directory("hour") as room, design.running(limit):
        clients = _Clients(design.agents, ttl=ttl, log=room / "clients.log")
        clients.start()
        try:
            _go_on(clients, design=design, seconds=seconds, chance=random.Random(seed))
        finally:
            clients.kill_all()
        before = _held_count(design)
        time.sleep((ttl + late).total_seconds() + TICK_SECONDS)
        after = _held_count(design)
        design.settle_all()
        used = design.known_use()
        unusable = limit - used - _granted(design.agents[0], tokens=limit - used)
        return [
            *_rows(clients, seconds=seconds, limit=limit, used=used, held=(before, after)),
            BenchRow(
                f"budget unusable after {seconds / 60:.0f} min with all agents connected",
                unusable,
                "tokens",
                "0",
                f"{limit - used - unusable:,} not used, all had by one call at one agent",
            ),
        ]


def _limit(seconds: float) -> int:
    calls = read_calls(SAMPLE)
    used = sum(call.used for call in calls) / len(calls)
    call_seconds = (sum(CALL_SECONDS) + sum(PAUSE_SECONDS)) / 2
    largest = max(call.reserved for call in calls)
    expected = used * seconds / call_seconds * HOSTS * CALLERS_A_HOST
    return round(ROOM * expected) + largest * HOSTS * CALLERS_A_HOST


def _go_on(clients: _Clients, *, design: Leases, seconds: float, chance: random.Random) -> None:
    began = time.monotonic()
    progress = began + PROGRESS_SECONDS
    while time.monotonic() < began + seconds:
        left = began + seconds - time.monotonic()
        time.sleep(max(0.0, min(chance.uniform(*KILL_PAUSE_SECONDS), left)))
        clients.replace(chance.randrange(HOSTS))
        if time.monotonic() > progress:
            progress += PROGRESS_SECONDS
            minutes = (time.monotonic() - began) / 60
            said = dict(clients.said())
            figures = {name: design.view()[name] for name in ("max", "used", "reserved", "leased")}
            print(f"{minutes:.0f} min: {said}, {figures}", file=sys.stderr, flush=True)


def _held_count(design: Leases) -> int:
    count = 0
    for host in design.agents:
        status = json.loads(
            run_command("meter-agent", "status", "--json", f"--address={host.address}")
        )
        count += int(status["held_reservation_count"]) + int(status["expired_reservation_count"])
    return count


def _granted(host: AgentHost, *, tokens: int) -> int:
    """Returns what one call is granted of so many."""
    asked = {"tokens": tokens}
    with host.meter.reserve(
        customer=CUSTOMER, quantities=asked, minimum={"tokens": 1}
    ) as reservation:
        granted = int(reservation.granted["tokens"])
        reservation.release()
    return granted


def _rows(
    clients: _Clients, *, seconds: float, limit: int, used: int, held: tuple[int, int]
) -> list[BenchRow]:
    said = clients.said()
    settled = said.pop("settled", 0)
    return [
        BenchRow(
            f"calls refused falsely in {seconds / 60:.0f} min",
            sum(said.values()),
            "calls",
            "0",
            f"{settled:,} settled, {settled / seconds:.1f}/s; {used:,} of {limit:,} tokens used",
        ),
        BenchRow(
            f"reservations still holding after {clients.kill_count} kills of clients, "
            "past ttl + t_late",
            held[1],
            "",
            "0",
            f"{held[0]} held when the last clients were killed",
        ),
    ]


class _Caller(threading.Thread):
    """One thread of a client: calls, one after the other."""

    def __init__(self, meter: Meter, *, calls: Sequence[Call], ttl: timedelta, log: TextIO) -> None:
        super().__init__(daemon=True)
        self._meter = meter
        self._calls = calls
        self._ttl = ttl
        self._log = log
        self._chance = random.Random()

    def run(self) -> None:
        while True:
            self._log.write(f"{self._call()}\n")
            self._log.flush()
            time.sleep(self._chance.uniform(*PAUSE_SECONDS))

    def _call(self) -> str:
        call = self._chance.choice(self._calls)
        quantities = {"tokens": call.reserved}
        try:
            with self._meter.reserve(
                customer=CUSTOMER, quantities=quantities, ttl=self._ttl
            ) as reservation:
                time.sleep(self._chance.uniform(*CALL_SECONDS))
                reservation.settle({"tokens": call.used})
        except QuotaDenied as denied:
            return denied.reason
        return "settled"


def main() -> None:
    """A client: makes calls until it is killed."""
    address, ttl = sys.argv[1], timedelta(seconds=float(sys.argv[2]))
    meter, calls = Meter(address), read_calls(SAMPLE)
    callers = [_Caller(meter, calls=calls, ttl=ttl, log=sys.stdout) for _ in range(CALLERS_A_HOST)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


if __name__ == "__main__":
    main()
