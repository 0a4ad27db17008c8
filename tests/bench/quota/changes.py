"""How soon agents heed a limit that was changed, with real processes and no faults."""

import time
from concurrent import futures
from typing import Final

from metering import QuotaDenied
from tests.bench.quota.leases import CUSTOMER, AgentHost, Leases
from tests.bench.row import BenchRow

CALL: Final = 100
"""Tokens of one call."""
RAISED_ROUNDS: Final = 20
LOWERED_ROUNDS: Final = 5
REFUSALS: Final = 3
"""So many refusals in a row: the limit is used up, also for this agent."""
COUNTED_SECONDS: Final = 10.0
WARM_CALLS: Final = 30
"""Calls that give each agent demand, and so a lease."""
LOWERED_SECONDS: Final = 3.0
"""So long agents are asked behind a lowered limit."""


def measure(*, host_count: int) -> list[BenchRow]:
    """Raises and lowers a limit that all hosts use, and times what their callers see."""
    design = Leases(host_count=host_count)
    with design.running(CALL), futures.ThreadPoolExecutor(host_count) as pool:
        raised = [_raise(design, pool) for _ in range(RAISED_ROUNDS)]
        lowered = [_lower(design, pool) for _ in range(LOWERED_ROUNDS)]
    waits = sorted(seconds for round_ in raised for seconds, _ in round_)
    refused = sum(count for round_ in raised for _, count in round_)
    return [
        BenchRow(
            f"calls refused behind a raised limit, of {len(waits)} first ones",
            refused,
            "calls",
            "0: within one round trip",
        ),
        BenchRow(
            "the first call behind it, p99, asks the server",
            waits[int(len(waits) * 0.99)] * 1e3,
            "ms",
            note=f"p50 {waits[len(waits) // 2] * 1e3:.1f} ms",
        ),
        BenchRow(
            f"last call granted behind a lowered limit, worst of {len(lowered)} rounds, any agent",
            max(0.0, *lowered) * 1e3,
            "ms",
            "≤ 2,000",
            note=f"{host_count} agents with leases in hand",
        ),
    ]


def _raise(design: Leases, pool: futures.Executor) -> list[tuple[float, int]]:
    """Raises a limit that is used up; returns by host how long its call took, and its refusals."""
    list(pool.map(_use_up, design.agents))
    _wait_until_counted(design)
    # One call each, and for each what another may have reserved beyond its own.
    design.set_limit(design.known_use() + 2 * CALL * len(design.agents))
    return list(pool.map(_until_granted, design.agents))


def _wait_until_counted(design: Leases) -> None:
    """Waits until the server has heard of all use; of what was on its way the limit would lack."""
    end = time.monotonic() + COUNTED_SECONDS
    while (view := design.view())["used"] != view["max"] and time.monotonic() < end:
        time.sleep(0.05)


def _use_up(host: AgentHost) -> None:
    refusals = 0
    while refusals < REFUSALS:
        refusals = 0 if _call(host) else refusals + 1


def _until_granted(host: AgentHost) -> tuple[float, int]:
    begun, refusals = time.monotonic(), 0
    while not _call(host):
        refusals += 1
    return time.monotonic() - begun, refusals


def _lower(design: Leases, pool: futures.Executor) -> float:
    """Lowers a limit of which every agent holds a lease.

    Returns:
        Seconds from the answer to the change until the last call that an agent granted; negative
        where none was.
    """
    design.set_limit(10_000 * CALL * len(design.agents))
    list(pool.map(_warm, design.agents))
    design.settle_all()
    design.set_limit(1)
    changed = time.monotonic()
    return max(pool.map(lambda host: _last_granted(host, since=changed), design.agents)) - changed


def _warm(host: AgentHost) -> None:
    for _ in range(WARM_CALLS):
        assert _call(host), "a wide limit refused"


def _last_granted(host: AgentHost, *, since: float) -> float:
    """Asks for some seconds, uses nothing, and returns when a call was granted last."""
    granted = -float("inf")
    while time.monotonic() < since + LOWERED_SECONDS:
        try:
            with host.meter.reserve(customer=CUSTOMER, quantities={"tokens": CALL}) as held:
                granted = time.monotonic()
                held.release()
        except QuotaDenied:
            pass
    return granted


def _call(host: AgentHost) -> bool:
    try:
        with host.meter.reserve(customer=CUSTOMER, quantities={"tokens": CALL}) as reservation:
            reservation.settle({"tokens": CALL})
    except QuotaDenied:
        return False
    return True
