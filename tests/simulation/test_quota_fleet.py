"""Fleets under limits on virtual time: one seed is one world, and the bound is held against it.

In each world agents run as they are, with all their threads, over real SQLite files; one or two
servers are the real services over one database. For three quarters of a minute messages are
dropped, doubled, delayed and cut off one way, processes crash before and after their commits, disks
fill up and slow down, hosts boot anew, clocks are set, windows end, and limits are raised and
lowered; in half of the worlds a disk goes back, is lost or copied alive, or the server is restored.
Services reserve, extend, settle, release, settle twice or elsewhere, or never. Meanwhile

- at each commit, what leases hold is what open reservations hold, and a settlement that keeps to
  its reservation is borne whole by its leases;
- no thread of an agent meets a bug, and no server refuses a call for another reason than numbering.

Then nothing goes wrong any more, and soon

- nobody holds anything, nothing is buffered, and both sides tell the same of each lease;
- what is settled is what the counted events say, each once, and so are the debits of each lease;
- no window was used beyond `B + U_max` and what the assumptions add, no rate beyond its own, and no
  rolling minute beyond its limit;
- money is settled as usage costs, which is no more than was estimated where all was reserved;
- what a window has left is left to grant, or free at an agent: nothing is lost;
- and whoever asks for all of it gets it.

A failure names its seed: `QUOTA_SIMULATION_SEED=<seed> pytest tests/simulation/test_quota_fleet.py
-k asked` plays that one alone.
"""

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from billing_server.domain.limit import lease as server_lease
from billing_server.domain.limit.escrow import Escrow
from billing_server.domain.limit.numbering import SyncState
from billing_server.services import lease_reports, lease_windows, limit_accounts, sync_leases
from meter_agent.core.quota import estimate, terms
from meter_agent.core.quota import reservation as reservations
from meter_agent.core.quota import sync as syncing
from meter_agent.core.quota.reservation import EndCase
from meter_agent.quota import news
from tests.simulation.fleet_truth import Violation
from tests.simulation.quota_drawing import QuotaResult
from tests.simulation.quota_fleet import Patch, play
from tests.simulation.virtual_threads import THREAD_NAME
from tests.support.told_counts import TellCounts

SEEDS = 4
"""The second has a rolling window, the third has money."""
LONG_CHUNKS = 20
LONG_SEEDS = int(os.environ.get("QUOTA_SIMULATION_SEEDS", "500"))
REPLAYED_SEED = os.environ.get("QUOTA_SIMULATION_SEED")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A fleet in trouble writes much into its log."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def play_all(
    seeds: Iterable[int], *, directory: Path, mutant: tuple[Patch, ...] = ()
) -> QuotaResult:
    result = QuotaResult()
    for number, seed in enumerate(seeds):
        own = directory / str(number)
        own.mkdir()
        result.add(play(seed, directory=own, mutant=mutant))
    return result


def test_fleets_under_limits_keep_them_and_lose_nothing(tmp_path: Path) -> None:
    result = play_all(range(SEEDS), directory=tmp_path)
    assert result.worlds == SEEDS
    # The worlds are worth something only where much happens in them.
    assert result.answers["granted"] > 5 * SEEDS
    assert result.answers["LIMIT_REACHED"] > SEEDS
    assert result.events > 5 * SEEDS
    # A thread that is left of a world keeps all of it.
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


@pytest.mark.skipif(REPLAYED_SEED is None, reason="QUOTA_SIMULATION_SEED names none")
def test_the_seed_that_was_asked_for(tmp_path: Path) -> None:
    assert play(int(REPLAYED_SEED or 0), directory=tmp_path).worlds == 1


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("chunk", range(LONG_CHUNKS))
def test_hundreds_of_fleets_under_limits(
    chunk: int, tmp_path: Path, tell_counts: TellCounts
) -> None:
    seeds = range(1_000_000 + chunk, 1_000_000 + LONG_SEEDS, LONG_CHUNKS)
    result = play_all(seeds, directory=tmp_path)
    tell_counts("fleets under limits", result.counts())


def only_settled_use_is_looked_at(settled: int, **_fields: Any) -> Escrow:
    return Escrow(settled)


def a_return_counts_twice(lease: Any, *, report: Any, now: Any) -> Any:
    more = max(0, report.returned - lease.returned)
    return server_lease.reported(
        lease, report=replace(report, returned=report.returned + more), now=now
    )


def a_reservation_is_settled_as_often_as_it_is_asked(_found: Any, **_fields: Any) -> EndCase:
    return EndCase.IN_TIME


def silence_frees_a_lease(lease: Any, *, silent_for: Any, **_fields: Any) -> Any:
    if silent_for.total_seconds() < 8:
        return lease
    return replace(lease, state=server_lease.LeaseState.CLOSED)


def a_recall_is_ignored(lease: Any, *, news: Any, **fields: Any) -> Any:
    return syncing.with_news(lease, news=replace(news, recall_no=0), **fields)


def holds_go_back_at_once(found: Any, *, now_us: int, **_fields: Any) -> bool:
    is_expired = found.state is reservations.ReservationState.EXPIRED
    return is_expired and not found.is_returned and now_us >= found.expires_at_us


def every_number_is_the_next(*_arguments: Any, **_fields: Any) -> SyncState:
    return SyncState.ACCEPTED


def half_the_price(prices: Any, **fields: Any) -> Any:
    cost = estimate.highest_cost(prices, **fields)
    return None if cost is None else cost / 2


def a_rolling_window_frees_at_once(now: datetime, *, window: timedelta) -> datetime:
    return now


MUTANTS: dict[str, tuple[int, tuple[Patch, ...]]] = {
    "a grant is decided by what is settled alone": (
        0,
        ((lease_windows, "escrow_of", only_settled_use_is_looked_at),),
    ),
    "a return counts twice": (0, ((lease_reports, "reported", a_return_counts_twice),)),
    "a reservation is settled twice": (
        4,
        ((reservations, "case_of_ending", a_reservation_is_settled_as_often_as_it_is_asked),),
    ),
    "silence frees a lease outside of the bound": (
        3,
        ((lease_windows, "after_silence", silence_frees_a_lease),),
    ),
    "a recall is ignored": (3, ((news, "with_news", a_recall_is_ignored),)),
    "a hold goes back before t_late": (
        36,
        ((reservations, "is_due_to_return", holds_go_back_at_once),),
    ),
    "the numbers of syncs are not looked at": (
        56,
        ((sync_leases, "decide_sync", every_number_is_the_next),),
    ),
    "an agent prices at half the price": (
        2,
        ((terms, "highest_cost", half_the_price),),
    ),
    "a rolling window frees at once": (
        13,
        ((limit_accounts, "counted_since", a_rolling_window_frees_at_once),),
    ),
}
"""Each with a seed that has caught it: it is played first."""


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(name: str, tmp_path: Path) -> None:
    first, mutant = MUTANTS[name]
    with pytest.raises(Violation, match=r"^seed \d+ at "):
        play_all([first, *range(SEEDS)], directory=tmp_path, mutant=mutant)
