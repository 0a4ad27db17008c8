"""How soon agents heed a limit that was changed, with real processes and no faults."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent import futures
from typing import Final

from metering import QuotaDenied
from tests.bench.quota.leases import CUSTOMER, AgentHost, Leases
from tests.bench.row import BenchRow

CALL: Final = 100
"""Tokens of one call."""
BARELY: Final = 2
"""Calls an agent that a limit is raised by: one each, and for each what another may have reserved
beyond its own. The last agents get theirs once it was recalled from others."""
AMPLY: Final = 50
"""Calls an agent that a limit is raised by: nothing has to be recalled for anybody."""
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
        raised = [
            row
            for words, calls in (("raised by far", AMPLY), ("barely raised", BARELY))
            for row in _rows_of_raising(design, pool, words=words, calls=calls)
        ]
        lowered = [_lower(design, pool) for _ in range(LOWERED_ROUNDS)]
    return [
        *raised,
        BenchRow(
            f"last call granted behind a lowered limit, worst of {len(lowered)} rounds, any agent",
            max(0.0, *lowered) * 1e3,
            "ms",
            "≤ 2,000",
            note=f"{host_count} agents with leases in hand",
        ),
    ]


def _rows_of_raising(
    design: Leases, pool: futures.Executor, *, words: str, calls: int
) -> list[BenchRow]:
    rounds = [_raise(design, pool, calls=calls) for _ in range(RAISED_ROUNDS)]
    first = [each for round_ in rounds for each in round_]
    waits = sorted(seconds for seconds, _ in first)
    reasons = Counter(reasons[0] for _, reasons in first if reasons)
    return [
        BenchRow(
            f"calls refused behind a limit {words}, of {len(first)} first ones",
            reasons.total(),
            "calls",
            "0: within one round trip",
            note=", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())),
        ),
        BenchRow(
            f"the first call behind a limit {words}, p99, asks the server",
            waits[int(len(waits) * 0.99)] * 1e3,
            "ms",
            note=f"p50 {waits[len(waits) // 2] * 1e3:.1f} ms, worst {waits[-1] * 1e3:.1f} ms",
        ),
    ]


def _raise(
    design: Leases, pool: futures.Executor, *, calls: int
) -> list[tuple[float, Sequence[str]]]:
    """Raises a limit that is used up; returns by host how long its call took, and its refusals."""
    list(pool.map(_use_up, design.agents))
    _wait_until_counted(design)
    design.set_limit(design.known_use() + calls * CALL * len(design.agents))
    return list(pool.map(_until_granted, design.agents))


def _wait_until_counted(design: Leases) -> None:
    """Waits until the server has heard of all use; of what was on its way the limit would lack."""
    end = time.monotonic() + COUNTED_SECONDS
    while (view := design.view())["used"] != view["max"] and time.monotonic() < end:
        time.sleep(0.05)


def _use_up(host: AgentHost) -> None:
    refusals = 0
    while refusals < REFUSALS:
        refusals = refusals + 1 if _refusal(host) else 0


def _until_granted(host: AgentHost) -> tuple[float, Sequence[str]]:
    begun, reasons = time.monotonic(), []
    while (reason := _refusal(host)) is not None:
        reasons.append(reason)
    return time.monotonic() - begun, reasons


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
        assert _refusal(host) is None, "a wide limit refused"


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


def _refusal(host: AgentHost) -> str | None:
    """Makes a call; returns why it was refused."""
    try:
        with host.meter.reserve(customer=CUSTOMER, quantities={"tokens": CALL}) as reservation:
            reservation.settle({"tokens": CALL})
    except QuotaDenied as denied:
        return denied.reason
    return None
