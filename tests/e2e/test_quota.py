"""A hard limit with both real programs: never passed, through kills of both and a time apart."""

import json
import threading
from pathlib import Path

import pytest

from metering import Meter, MeterOptions, QuotaDenied
from metering.errors import MeteringError
from tests.e2e.world import World
from tools.programs import run_command, wait_until

pytestmark = pytest.mark.timeout(300)

LIMIT = 2_000
CALL = 40
USED = 30
CALLERS = 3
OPTIONS = MeterOptions(
    backoff_initial_seconds=0.05, backoff_max_seconds=0.2, quota_timeout_seconds=5
)
LIMITS = """
    limits:
      - {key: tokens-a-month, meter: input_tokens, window: month, max: "2000", enforcement: hard}
"""


class Caller(threading.Thread):
    """Makes calls until the limit has refused for good."""

    def __init__(self, meter: Meter, *, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.used = 0
        self.refused = 0
        self._meter = meter
        self._over = over

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with self._meter.reserve(customer="acme", quantities={"input_tokens": CALL}) as r:
                    r.settle({"input_tokens": USED})
                    self.used += USED
            except QuotaDenied as denied:
                if denied.reason == "LIMIT_REACHED":
                    self.refused += 1
                self._over.wait(0.05)
            except MeteringError:
                self._over.wait(0.05)


def test_a_hard_limit_is_never_passed_through_kills_and_a_partition(tmp_path: Path) -> None:
    world = World(tmp_path, customer_ids=["acme"], limits=LIMITS)
    world.start()
    over = threading.Event()
    meter = Meter(world.agent_address, options=OPTIONS)
    callers = [Caller(meter, over=over) for _ in range(CALLERS)]
    try:
        for caller in callers:
            caller.start()
        used_at_least(callers, LIMIT // 8)
        world.agent.kill()
        world.agent.start()
        used_at_least(callers, LIMIT // 4)
        world.server.kill()
        # Leases in hand are spent while the server is away; then calls are refused.
        over.wait(1.0)
        world.server.start()
        wait_until(
            lambda: sum(caller.refused for caller in callers) >= 3 * CALLERS,
            what="a refusal by the limit",
            seconds=60,
        )
    finally:
        over.set()
        for caller in callers:
            caller.join(30)
    assert meter.close(timeout=30)
    world.drain()
    used = sum(caller.used for caller in callers)
    assert used <= LIMIT
    assert used > LIMIT - CALL - USED
    status = json.loads(
        run_command("meter-agent", "status", "--json", f"--address={world.agent_address}")
    )
    assert status["held_reservation_count"] == 0
    assert status["limits"][0]["uncovered"] == status["limits"][0]["overrun"] == "0"
    assert world.close_month()["acme"][0] == str(used)
    world.stop()


def used_at_least(callers: list[Caller], amount: int) -> None:
    wait_until(
        lambda: sum(caller.used for caller in callers) >= amount,
        what=f"use of {amount} tokens",
        seconds=60,
    )
