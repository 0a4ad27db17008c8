"""Fleets on virtual time: one seed is one world, and conservation is what is held against it.

In each world several agents, their callers and a server live through a minute in which messages are
dropped, doubled, delayed and cut off one way, processes crash before and after their commits, disks
fill up, slow down, go back to a snapshot, get lost or are copied alive, clocks are set, and the
server goes back to a backup. Then nothing goes wrong any more, and within 400 virtual seconds

- every event that was answered OK, and of which any copy survived, is counted exactly once;
- nothing else is counted, and what no copy was left of is not;
- no agent holds a backlog: nothing is stuck;
- at every ack, the conservation line of the agent held;
- no row was deleted that the server had not counted, and no identity given up without need;
- where only the server lost data, the agents declared at least what is missing, and without such
  a loss nothing.

The server of most worlds decides by the real functions and keeps a few dictionaries; some worlds
have the real services on SQLite in memory, which takes thirty times as long.

A failure names its seed: `SIMULATION_SEED=<seed> pytest tests/simulation/test_fleet.py` plays that
one alone.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from billing_server.domain.session.pushing import PushDecision, decide_push
from billing_server.store.unit_of_work import open_store
from meter_agent.core import positions as core
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer
from tests.simulation.fleet import Result, play
from tests.simulation.fleet_services import ServiceServer
from tests.simulation.fleet_truth import Violation
from tests.simulation.fleet_world import KINDS, Rules, World
from tests.support.told_counts import TellCounts

SEEDS = 560
CHUNKS = 8
MUTANT_SEEDS_MAX = 300
SERVICE_SEEDS = 12
LONG_CHUNKS = 20
LONG_SERVICE_SEEDS = int(os.environ.get("SIMULATION_SERVICE_SEEDS", "400"))
LONG_SEEDS = int(os.environ.get("SIMULATION_SEEDS", "20000"))
REPLAYED_SEED = int(os.environ.get("SIMULATION_SEED", "1"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A fleet in trouble writes much into its log."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def play_all(seeds: range, *, rules: Rules | None = None) -> Result:
    result = Result()
    for seed in seeds:
        result.add(play(seed, rules=rules))
    return result


def play_on_services(seed: int) -> Result:
    store = open_store("sqlite://")
    servers: list[ServiceServer] = []

    def make_server(world: World) -> ServiceServer:
        servers.append(ServiceServer(world, store=store))
        return servers[0]

    try:
        return play(seed, make_server=make_server)
    finally:
        servers[0].close()
        store.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_event_is_counted_once_whatever_happens_to_the_fleet(chunk: int) -> None:
    size = SEEDS // CHUNKS
    result = play_all(range(chunk * size, (chunk + 1) * size))
    # The worlds are worth something only where much happens in them.
    assert result.answered > 50 * size
    assert [kind for kind in KINDS if not result.faults[kind]] == []


def test_the_seed_that_was_asked_for() -> None:
    play(REPLAYED_SEED)
    play_on_services(REPLAYED_SEED)


@pytest.mark.parametrize("seed", range(SERVICE_SEEDS))
def test_the_real_services_count_every_event_once(seed: int) -> None:
    assert play_on_services(seed).worlds == 1


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("chunk", range(LONG_CHUNKS))
def test_tens_of_thousands_of_fleets_count_every_event_once(
    chunk: int, tell_counts: TellCounts
) -> None:
    size = LONG_SEEDS // LONG_CHUNKS
    first = 1_000_000 + chunk * size
    result = play_all(range(first, first + size))
    tell_counts("fleets over a small store", result.counts())


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_the_real_services_count_every_event_once_in_hundreds_of_fleets(
    tell_counts: TellCounts,
) -> None:
    result = Result()
    for seed in range(2_000_000, 2_000_000 + LONG_SERVICE_SEEDS):
        result.add(play_on_services(seed))
    tell_counts("fleets over the real services", result.counts())


def test_the_known_limit_is_still_there() -> None:
    """A live copy of a disk, and a restore of the server unnoticed: docs/reliability.md."""
    with pytest.raises(Violation, match=r"deleted at agent-.*, and not counted"):
        play(1_002_563, rules=Rules(beyond_the_limit=True))


def test_a_session_count_ahead_of_the_server_gives_an_unnoticed_restore_away() -> None:
    """A world of the known limit that is none any more: the count of sessions tells."""
    assert play(1_019_565, rules=Rules(beyond_the_limit=True)).worlds == 1


def test_a_seed_is_one_world_in_every_process() -> None:
    program = "from tests.simulation.fleet import play; print('world', play(7).counts())"
    told = set()
    for hash_seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        told.add(printed[printed.index("world") :])
    assert len(told) == 1


def a_lost_ack_is_taken_for_a_rollback(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    shorter = replace(state, next_seq=state.applied_seq + 1)
    if answer.applied_seq - state.seq_offset <= state.applied_seq:
        shorter = state
    after = core.session_opened(shorter, answer, **fields)
    return replace(after, next_seq=state.next_seq)


def the_server_position_is_taken_as_proof(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    after = core.session_opened(state, answer, **fields)
    if answer.applied_seq - state.seq_offset > state.applied_seq:
        return replace(after, applied_seq=answer.applied_seq - state.seq_offset)
    return after


def rows_go_when_they_are_sent(state: Positions, sent_seq: int) -> int:
    return max(state.deletable_seq, sent_seq)


def a_fence_is_taken_for_an_ack(
    state: Positions, *, sent: PushSent, answer: PushAnswer
) -> Positions:
    if answer.outcome is PushOutcome.FENCED:
        incarnation = state.server_incarnation
        answer = replace(
            answer, outcome=PushOutcome.APPLIED, server_incarnation=incarnation, safe_seq=2**62
        )
    return core.push_answered(state, sent=sent, answer=answer)


def a_hole_is_taken_for_an_ack(
    state: Positions, *, sent: PushSent, answer: PushAnswer
) -> Positions:
    if answer.outcome is PushOutcome.GAP:
        answer = replace(answer, outcome=PushOutcome.APPLIED, safe_seq=2**62)
    return core.push_answered(state, sent=sent, answer=answer)


def a_new_incarnation_is_overlooked(
    state: Positions, answer: SessionAnswer, **fields: Any
) -> Positions:
    return core.session_opened(replace(state, server_incarnation=""), answer, **fields)


def a_taken_identity_is_kept(state: Positions, **_fields: Any) -> Positions:
    return replace(state, session_no=0)


def every_session_is_current(
    *, server: tuple[str, int], named: tuple[str, int], **fields: Any
) -> PushDecision:
    return decide_push(
        server=(server[0], server[1] or 1), named=(server[0], server[1] or 1), **fields
    )


MUTANTS = {
    "the server acks before it counts": Rules(acks_before_counting=True),
    "the id is marked outside the counting transaction": Rules(marks_apart=True),
    "events are told apart by position, not by id": Rules(looks_at_ids=False),
    "rows are deleted before the ack": Rules(deletable_seq=rows_go_when_they_are_sent),
    "rows are numbered anew after a lost ack": Rules(
        session_opened=a_lost_ack_is_taken_for_a_rollback
    ),
    "the server's position is taken as proof": Rules(
        session_opened=the_server_position_is_taken_as_proof
    ),
    "no session is fenced by the server": Rules(decide_push=every_session_is_current),
    "a fence is ignored by the agent": Rules(push_answered=a_fence_is_taken_for_an_ack),
    "a hole is ignored by the agent": Rules(push_answered=a_hole_is_taken_for_an_ack),
    "a new incarnation is overlooked": Rules(session_opened=a_new_incarnation_is_overlooked),
    "a taken identity is kept": Rules(identity_taken=a_taken_identity_is_kept),
    "the caller is answered before the commit": Rules(answers_before_commit=True),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(name: str) -> None:
    with pytest.raises(Violation, match=r"^seed \d+ at "):
        play_all(range(MUTANT_SEEDS_MAX), rules=MUTANTS[name])
