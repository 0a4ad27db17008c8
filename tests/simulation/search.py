"""Breadth-first search through every state of a small world.

A world is a value that can be hashed; its steps and faults are functions to (label, next world).
Each reachable state is visited once and judged. Afterwards the search goes back from the states at
rest over steps alone: whatever it does not meet could never come to rest, were nothing to go wrong
any more.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

STATES_MAX = 1_000_000

W = TypeVar("W", bound=Hashable)
Moves = Callable[[W], Iterable[tuple[str, W]]]


class Violation(AssertionError):
    """The search has found a state that must not be; carries the steps that lead to it."""


def search_all(
    start: W,
    *,
    steps: Moves[W],
    faults: Moves[W],
    problem_of: Callable[[W], str],
    is_at_rest: Callable[[W], bool],
) -> int:
    """Visits every state; returns how many there are.

    Args:
        start: Where it begins.
        steps: What may come next where nothing goes wrong.
        faults: What may go wrong next.
        problem_of: Says which promise a state breaks; empty: none.
        is_at_rest: Whether all work of a state is done.

    Raises:
        Violation: A state breaks a promise, or can never come to rest.
    """
    numbers = {start: 0}
    worlds = [start]
    parents: list[tuple[int, str]] = [(0, "start")]
    sources: list[list[int]] = [[]]
    queue = deque([0])
    while queue:
        number = queue.popleft()
        world = worlds[number]
        for is_fault, moves in ((False, steps), (True, faults)):
            for label, after in moves(world):
                found = numbers.get(after)
                if found is None:
                    found = numbers[after] = len(worlds)
                    worlds.append(after)
                    parents.append((number, label))
                    sources.append([])
                    queue.append(found)
                    if problem := problem_of(after):
                        raise Violation(_told(problem, parents, found, after))
                if not is_fault:
                    sources[found].append(number)
        assert len(worlds) < STATES_MAX, "the world is too large to be searched"
    _check_rest(worlds, sources, parents, is_at_rest)
    return len(worlds)


def _check_rest(
    worlds: list[W],
    sources: list[list[int]],
    parents: list[tuple[int, str]],
    is_at_rest: Callable[[W], bool],
) -> None:
    """Goes back from the states at rest: whatever is not met can never come to rest."""
    resting = [number for number, world in enumerate(worlds) if is_at_rest(world)]
    reached = set(resting)
    queue = deque(resting)
    while queue:
        for source in sources[queue.popleft()]:
            if source not in reached:
                reached.add(source)
                queue.append(source)
    for number, world in enumerate(worlds):
        if number not in reached:
            raise Violation(_told("never comes to rest", parents, number, world))


def _told(problem: str, parents: list[tuple[int, str]], number: int, world: W) -> str:
    path: list[str] = []
    while number:
        number, label = parents[number]
        path.append(label)
    return f"{problem} after {list(reversed(path))}: {world}"
