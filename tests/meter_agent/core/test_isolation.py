"""Looking for the event that spoils a push, step by step."""

import pytest

from meter_agent.core.isolation import Isolation, RefusalStep


def shipped(bad: set[int], *, last_seq: int, page: int) -> tuple[list[int], list[int], int]:
    """Ships positions 1..last_seq; returns those that arrived, those set aside, and the pushes."""
    isolation, seq, pushes = Isolation(), 1, 0
    arrived: list[int] = []
    aside: list[int] = []
    while seq <= last_seq:
        sent = range(seq, min(seq + min(page, isolation.event_count_max), last_seq + 1))
        pushes += 1
        if not bad.intersection(sent):
            isolation.push_applied()
            arrived += sent
            seq = sent.stop
        elif isolation.push_refused(first_seq=seq, event_count=len(sent)) is RefusalStep.SET_ASIDE:
            aside.append(seq)
            seq += 1
    return arrived, aside, pushes


@pytest.mark.parametrize("bad", [{1}, {100}, {37}, {1, 2, 3}, {50, 99, 100}, set()])
def test_what_is_bad_is_set_aside_and_all_else_arrives(bad: set[int]) -> None:
    arrived, aside, _ = shipped(bad, last_seq=100, page=16)
    assert aside == sorted(bad)
    assert arrived == [seq for seq in range(1, 101) if seq not in bad]


def test_one_bad_event_among_many_costs_few_pushes() -> None:
    _, aside, pushes = shipped({4_000}, last_seq=20_000, page=5_000)
    assert aside == [4_000]
    # Halved, with doublings on the way: about (log2 5000)**2 / 2 = 76 at most, and 4 pages.
    assert pushes <= 80


def test_a_server_that_refuses_everything_is_waited_for_before_each_event() -> None:
    isolation = Isolation()
    steps = [isolation.push_refused(first_seq=seq, event_count=1) for seq in (1, 1, 2, 2)]
    assert steps == [RefusalStep.WAIT, RefusalStep.SET_ASIDE] * 2


def test_after_another_push_has_passed_the_event_is_at_fault() -> None:
    isolation = Isolation()
    isolation.push_applied()
    assert isolation.push_refused(first_seq=1, event_count=9) is RefusalStep.NARROW
    assert isolation.event_count_max == 4
    isolation.push_applied()
    assert isolation.event_count_max == 8
    assert isolation.push_refused(first_seq=5, event_count=1) is RefusalStep.SET_ASIDE
