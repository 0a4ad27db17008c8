"""By how much a limit with RECLAIM is passed when silent agents spend what others were given.

Every host holds a lease. Half of them are cut off and nobody calls there; once they count as
silent, the others are granted again what the silent ones have left, up to `reclaim_max`, and spend
all that they can get. Then the cut-off hosts spend their leases, whose time is not over yet.
"""

import time
from collections.abc import Iterator
from concurrent import futures
from decimal import Decimal
from typing import Final

from billing_server.domain.limit.silence import SILENT_AFTER
from tests.bench.quota.calls import Call
from tests.bench.quota.experiment import HOSTS, LARGEST_CALLS_IN_LIMIT
from tests.bench.quota.leases import AgentHost, Leases
from tests.bench.row import BenchRow
from tests.support.fault_proxy import Fault

RECLAIM_CALLS: Final = 4
"""`reclaim_max`, in the largest call."""
WARM_CALLS: Final = 20
WARM_PAUSE_SECONDS: Final = 0.05
WARM_CALL: Final = 1_000
"""Tokens of a call that gives a host demand, and so a lease."""
REFUSALS: Final = 2
"""So many in a row: nothing of this size is left."""


def measure(*, largest: int) -> BenchRow:
    """Plays it once; returns what was used beyond the limit, and the bound.

    Args:
        largest: tokens of the largest call.
    """
    limit, reclaim = largest * LARGEST_CALLS_IN_LIMIT, largest * RECLAIM_CALLS
    terms = f'meter: tokens, max: "{limit}", enforcement: hard, unconfirmed: reclaim'
    design = Leases(host_count=HOSTS, terms=f'{terms}, reclaim_max: "{reclaim}"')
    with design.running(limit), futures.ThreadPoolExecutor(HOSTS) as pool:
        used = sum(pool.map(_warm, design.agents))
        silent, others = design.agents[: HOSTS // 2], design.agents[HOSTS // 2 :]
        for host in silent:
            host.cut(Fault.HALF_OPEN)
        since = time.monotonic()
        leased = design.leased()
        left = sum(leased[number] for number in range(HOSTS // 2))

        def spend(host: AgentHost) -> int:
            return sum(_spent(host, size=largest))

        used += sum(pool.map(spend, others))
        time.sleep(max(0.0, since + SILENT_AFTER.total_seconds() + 1 - time.monotonic()))
        used += sum(pool.map(spend, others))
        used += sum(pool.map(spend, silent))
        for host in silent:
            host.heal()
        design.settle_all()
        view = design.view()
    counted = "equal" if Decimal(view["used"]) == used else view["used"]
    return BenchRow(
        f"unconfirmed: reclaim, reclaim_max {reclaim:,}: used beyond the limit of {limit:,}",
        max(used - limit, 0),
        "tokens",
        f"≤ {reclaim:,}",
        f"server's count {counted}; {HOSTS // 2} hosts were silent and held {left:,}",
    )


def _warm(host: AgentHost) -> int:
    """Makes calls of a host that is to hold a lease; returns what they used."""
    used = 0
    for _ in range(WARM_CALLS):
        used += WARM_CALL * _uses(host, tokens=WARM_CALL)
        time.sleep(WARM_PAUSE_SECONDS)
    return used


def _spent(host: AgentHost, *, size: int) -> Iterator[int]:
    """Makes ever smaller calls until not a single token is left; yields what each used."""
    refusals = 0
    while size:
        if _uses(host, tokens=size):
            refusals = 0
            yield size
            continue
        refusals += 1
        if refusals >= REFUSALS:
            size, refusals = size // 2, 0


def _uses(host: AgentHost, *, tokens: int) -> bool:
    return host.run(Call(tokens, tokens), work=lambda granted: granted) is None
