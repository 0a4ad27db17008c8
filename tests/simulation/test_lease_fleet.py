"""Random walks through fleets under a limit: one seed is one world, and a failure names it.

The search of `test_lease_model` tries every order of a few steps; here up to three agents, a dozen
calls and many faults meet at once, in an order drawn from the seed. In every state the same
promises are judged as there. Then nothing goes wrong any more, and the fleet has to come to rest:
every event counted, no hold open, no budget lost.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from metering.errors import InvariantError
from tests.simulation.lease_faults import faults
from tests.simulation.lease_steps import steps
from tests.simulation.lease_world import Faults, Rules, World, first_world
from tests.simulation.search import Violation
from tests.simulation.test_lease_model import MUTANTS, is_at_rest, problem_of
from tests.support.told_counts import TellCounts

SEEDS = 60
LONG_SEEDS = int(os.environ.get("LEASE_SIMULATION_SEEDS", "5000"))
REPLAYED_SEED = int(os.environ.get("LEASE_SIMULATION_SEED", "1"))
FAULTY_STEPS = 150
HEALING_STEPS_MAX = 4_000
WORST = ("rollback", "clone", "lose_disk", "restore_noticed", "restore_unnoticed", "")
"""What goes back or is copied happens alone in a world: the bound allows for each by itself."""


@dataclass
class Result:
    """What happened in a world, or in many."""

    worlds: int = 0
    steps: int = 0
    events: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Result") -> None:
        """Adds the figures of another result."""
        self.worlds += other.worlds
        self.steps += other.steps
        self.events += other.events
        self.happened.update(other.happened)

    def counts(self) -> dict[str, int]:
        """Returns the figures, by what they count."""
        first = {"worlds": self.worlds, "steps": self.steps, "events": self.events}
        return first | dict(sorted(self.happened.items()))


def drawn(source: random.Random) -> World:
    """Returns the world of a seed: how large, and how often each thing may go wrong."""
    counts = {name: source.choice((0, 0, 1, 3)) for name in Faults._fields}
    worst = source.choice(WORST)
    for name in WORST:
        if name:
            counts[name] = int(name == worst)
    is_restored = worst.startswith("restore")
    counts |= {"backup": 2 * is_restored, "end_quarantine": int(is_restored)}
    counts["next_window"] = source.choice((0, 1))
    return first_world(
        Faults(**counts),
        limit=source.randint(1, 12),
        calls=source.randint(3, 14),
        agents=source.randint(1, 3),
        unknown_max=source.choice((0, 0, 2)),
        allowance=source.choice((0, 0, 1)),
        amounts=(1, 2, 3),
    )


def play(seed: int, *, rules: Rules | None = None) -> Result:
    """Lives through the world of a seed.

    Raises:
        Violation: A promise was broken; the message begins with the seed.
    """
    rules = rules or Rules()
    source = random.Random(seed)
    result, path = Result(worlds=1), []
    world = drawn(source)
    try:
        for number in range(FAULTY_STEPS + HEALING_STEPS_MAX):
            is_healed = number >= FAULTY_STEPS
            if is_healed and is_at_rest(world, rules):
                break
            label, world = _moved(world, source, rules, is_healed=is_healed)
            if not label:
                break
            path.append(label)
            result.happened[_kind(label)] += 1
            _judge(world)
        _judge_end(world, rules)
    except (Violation, InvariantError) as problem:
        raise Violation(f"seed {seed}: {problem} after {path[-30:]}: {world}") from problem
    result.steps, result.events = len(path), len(world.server.ids)
    return result


def _moved(
    world: World, source: random.Random, rules: Rules, *, is_healed: bool
) -> tuple[str, World]:
    moves = list(steps(world, rules))
    if not is_healed and (not moves or source.random() < 0.3):
        moves = list(faults(world, rules)) or moves
    return source.choice(moves) if moves else ("", world)


def _judge(world: World) -> None:
    if problem := problem_of(world):
        raise Violation(problem)


def _judge_end(world: World, rules: Rules) -> None:
    if not is_at_rest(world, rules):
        raise Violation("the fleet does not come to rest")


def _kind(label: str) -> str:
    words = [word.rstrip(",") for word in label.split()]
    return " ".join(word for word in words if word not in {"at", "as"} and not word[-1].isdigit())


def play_all(seeds: range, *, rules: Rules | None = None) -> Result:
    result = Result()
    for seed in seeds:
        result.add(play(seed, rules=rules))
    return result


def test_fleets_keep_their_limit_and_come_to_rest() -> None:
    result = play_all(range(SEEDS))
    # The worlds are worth something only where much happens in them.
    assert result.events > 2 * SEEDS
    assert {"crash", "restore", "clone", "rollback", "lower", "silence"} <= set(result.happened)


def test_the_seed_that_was_asked_for() -> None:
    assert play(REPLAYED_SEED).worlds == 1


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_thousands_of_fleets_keep_their_limit(tell_counts: TellCounts) -> None:
    result = play_all(range(1_000_000, 1_000_000 + LONG_SEEDS))
    tell_counts("random walks through fleets under limits", result.counts())


@pytest.mark.parametrize(
    "name",
    [
        "a grant is decided by what is settled alone",
        "what is held counts as returned",
        "a hold goes back before t_late",
        "windows are reset in place",
    ],
)
def test_a_mutant_is_caught_by_random_walks_as_well(name: str) -> None:
    rules, _ = MUTANTS[name]
    with pytest.raises(Violation, match=r"^seed \d+: "):
        play_all(range(SEEDS), rules=rules)
