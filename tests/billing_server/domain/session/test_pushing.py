"""Whether a push is applied, as a decision over numbers."""

import pytest

from billing_server.domain.session.pushing import (
    PushDecision,
    PushState,
    decide_push,
    retry_after_ms,
)


def decided(
    first_seq: int, *, event_count: int = 3, named: tuple[str, int] = ("i1", 4), session_no: int = 4
) -> PushDecision:
    return decide_push(
        server=("i1", session_no),
        named=named,
        applied_seq=10,
        first_seq=first_seq,
        event_count=event_count,
    )


@pytest.mark.parametrize(("first_seq", "applied_seq"), [(11, 13), (9, 11), (1, 10)])
def test_a_push_without_a_hole_is_applied_and_never_moves_the_position_back(
    first_seq: int, applied_seq: int
) -> None:
    assert decided(first_seq) == PushDecision(PushState.APPLIED, applied_seq)


def test_a_push_that_would_leave_a_hole_changes_nothing() -> None:
    assert decided(12) == PushDecision(PushState.GAP, 10)


@pytest.mark.parametrize("named", [("i1", 3), ("i1", 5), ("i0", 4)])
def test_a_push_of_another_session_or_incarnation_is_fenced(named: tuple[str, int]) -> None:
    assert decided(11, named=named) == PushDecision(PushState.FENCED, 10)


def test_a_disk_without_a_session_is_fenced() -> None:
    assert decided(11, named=("i1", 0), session_no=0).state is PushState.FENCED


def test_a_sign_of_life_carries_no_event_and_moves_nothing() -> None:
    assert decided(11, event_count=0) == PushDecision(PushState.APPLIED, 10)


@pytest.mark.parametrize(("in_hand", "wait_ms"), [(1, 0), (8, 0), (9, 50), (16, 400), (999, 5000)])
def test_agents_wait_longer_the_more_pushes_are_in_hand(in_hand: int, wait_ms: int) -> None:
    assert retry_after_ms(in_hand) == wait_ms
