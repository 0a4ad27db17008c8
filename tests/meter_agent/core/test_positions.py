"""Positions, sessions and pushes as pure functions: protocol section 3."""

from dataclasses import replace

import pytest

from meter_agent.core import positions as core
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent, SessionAnswer

FRESH = Positions(disk_id=b"d" * 16)
# Rows 5..19 on disk, those up to 9 applied, session 3 open.
STATE = Positions(
    disk_id=b"d" * 16,
    agent_id="a",
    server_incarnation="i1",
    session_no=3,
    sync_no=3,
    earliest_kept_seq=5,
    next_seq=20,
    applied_seq=9,
    safe_seq=4,
)
SENT = PushSent(session_no=3, server_incarnation="i1", first_seq=10, last_seq=14)


def answer(
    outcome: PushOutcome = PushOutcome.APPLIED,
    *,
    applied_seq: int = 14,
    safe_seq: int = 14,
    incarnation: str = "i1",
) -> PushAnswer:
    return PushAnswer(outcome, incarnation, applied_seq, safe_seq)


def opened(state: Positions, answer: SessionAnswer) -> Positions:
    """The state after the attempt that waits was answered."""
    waiting = replace(state, nonce=state.nonce or b"n")
    return core.session_opened(waiting, answer, attempt_nonce=waiting.nonce, fresh_disk_id=b"fresh")


def session(applied_seq: int, *, incarnation: str = "i1", safe_seq: int = 9) -> SessionAnswer:
    return SessionAnswer("a", 4, incarnation, applied_seq, safe_seq)


def test_appended_events_are_buffered_until_they_are_applied() -> None:
    state = core.appended(FRESH, event_count=3)
    assert (state.next_seq, state.buffered_count) == (4, 3)
    assert STATE.buffered_count == 10  # 10..19


def test_an_unanswered_session_attempt_is_repeated_under_its_own_number_and_nonce() -> None:
    first = core.session_attempted(FRESH, fresh_nonce=b"n1")
    assert (first.sync_no, first.nonce, first.session_no) == (1, b"n1", 0)
    repeated = core.session_attempted(first, fresh_nonce=b"n2")
    assert (repeated.sync_no, repeated.nonce) == (1, b"n1")
    after = opened(repeated, session(0))
    assert (after.session_no, after.nonce) == (4, b"")
    following = core.session_attempted(after, fresh_nonce=b"n3")
    assert (following.sync_no, following.nonce, following.session_no) == (2, b"n3", 0)


def test_a_server_position_ahead_is_a_lost_ack_and_nothing_is_marked() -> None:
    assert opened(STATE, session(14)).applied_seq == 9


@pytest.mark.parametrize(
    ("server_applied_seq", "applied_seq"),
    # Back to where the server stands, but not below what is kept (5..).
    [(9, 9), (7, 7), (4, 4), (2, 4), (0, 4)],
)
def test_a_server_position_behind_has_the_kept_rows_sent_again(
    server_applied_seq: int, applied_seq: int
) -> None:
    assert opened(STATE, session(server_applied_seq)).applied_seq == applied_seq


def test_a_new_incarnation_has_every_kept_row_numbered_anew_and_sent_again() -> None:
    state = opened(STATE, session(9, incarnation="i2", safe_seq=1))
    assert (state.applied_seq, state.server_incarnation) == (4, "i2")
    # Row 5 is the earliest kept: it follows the server's position 9 as position 10.
    assert 5 + state.seq_offset == 10
    # Position 1 is no row that is still kept: nothing is safe.
    assert (state.safe_seq, state.deletable_seq) == (0, 0)


def test_a_second_new_incarnation_goes_on_from_the_first_numbering() -> None:
    once = opened(STATE, session(9, incarnation="i2"))
    again = opened(once, session(12, incarnation="i3"))
    assert (again.applied_seq, 5 + again.seq_offset) == (4, 13)


def test_acks_after_a_new_numbering_are_understood_in_it() -> None:
    state = replace(opened(STATE, session(9, incarnation="i2")), session_no=4)
    sent = PushSent(4, "i2", first_seq=5, last_seq=9, seq_offset=5)
    after = core.push_answered(
        state, sent=sent, answer=answer(applied_seq=14, safe_seq=12, incarnation="i2")
    )
    assert (after.applied_seq, after.safe_seq) == (9, 7)  # Position 12 is row 7.


def test_a_position_that_no_row_ever_had_means_another_disk_id_and_numbers_after_it() -> None:
    state = opened(STATE, session(20))  # The next event here would have been 20.
    assert (state.disk_id, state.previous_disk_id) == (b"fresh", STATE.disk_id)
    assert (state.session_no, state.sync_no, state.nonce) == (0, 0, b"")
    # Rows 10..19 wait as before; the first of them follows the server's position 20.
    assert (state.applied_seq, state.buffered_count, 10 + state.seq_offset) == (9, 10, 21)


def test_the_answer_to_an_older_attempt_is_dropped() -> None:
    waiting = replace(STATE, session_no=0, nonce=b"new")
    for state in (waiting, STATE):  # STATE waits for no answer at all.
        assert (
            core.session_opened(state, session(14), attempt_nonce=b"old", fresh_disk_id=b"f")
            is state
        )
        assert core.identity_taken(state, attempt_nonce=b"old", fresh_disk_id=b"f") is state


def test_a_taken_identity_is_given_up_and_nothing_that_waits_changes() -> None:
    waiting = core.session_attempted(STATE, fresh_nonce=b"n")
    after = core.identity_taken(waiting, attempt_nonce=b"n", fresh_disk_id=b"fresh")
    assert after == replace(
        STATE, disk_id=b"fresh", previous_disk_id=STATE.disk_id, session_no=0, sync_no=0
    )


def test_the_first_incarnation_that_is_heard_changes_nothing_else() -> None:
    state = opened(core.appended(FRESH, event_count=2), session(0))
    assert (state.applied_seq, state.buffered_count) == (0, 2)


def test_an_acked_push_marks_what_it_carried_and_nothing_more() -> None:
    after = core.push_answered(STATE, sent=SENT, answer=answer(applied_seq=19, safe_seq=12))
    assert (after.applied_seq, after.safe_seq, after.deletable_seq) == (14, 12, 12)


def test_an_ack_that_would_leave_a_hole_marks_nothing() -> None:
    sent = replace(SENT, first_seq=12)
    assert core.push_answered(STATE, sent=sent, answer=answer()).applied_seq == 9


def test_a_repeated_ack_of_older_rows_never_moves_the_position_back() -> None:
    sent = replace(SENT, first_seq=6, last_seq=8)
    assert core.push_answered(STATE, sent=sent, answer=answer()).applied_seq == 9


@pytest.mark.parametrize(
    "sent", [replace(SENT, session_no=2), replace(SENT, server_incarnation="i0")]
)
def test_the_answer_to_a_call_of_another_session_is_dropped(sent: PushSent) -> None:
    assert core.push_answered(STATE, sent=sent, answer=answer()) is STATE


def test_a_fenced_push_changes_nothing_but_asks_for_a_session() -> None:
    after = core.push_answered(STATE, sent=SENT, answer=answer(PushOutcome.FENCED))
    assert after == replace(STATE, session_no=0)


def test_an_ack_of_another_incarnation_marks_nothing_and_asks_for_a_session() -> None:
    after = core.push_answered(STATE, sent=SENT, answer=answer(incarnation="i2"))
    assert after == replace(STATE, session_no=0)


def test_a_hole_is_never_skipped_but_settled_by_a_session() -> None:
    gap = answer(PushOutcome.GAP, applied_seq=6)
    assert core.push_answered(STATE, sent=SENT, answer=gap) == replace(STATE, session_no=0)


def test_only_rows_that_are_applied_and_safe_may_be_deleted() -> None:
    assert STATE.deletable_seq == 4
    assert replace(STATE, safe_seq=100).deletable_seq == 9
    assert core.deleted(STATE, earliest_kept_seq=8).earliest_kept_seq == 8


def test_an_event_that_is_set_aside_is_done_with_and_a_session_tells_the_server() -> None:
    sent = replace(SENT, last_seq=10)
    after = core.set_aside(STATE, sent=sent)
    assert (after.applied_seq, after.session_no, after.safe_seq) == (10, 0, 4)
    # Rows 5..10 may still lie on disk; the server is told that 11 is the next to come.
    told = core.told_behind(after, set_aside_seq=10)
    assert (told.applied_seq, told.earliest_kept_seq) == (9, 11)
    assert core.told_behind(after, set_aside_seq=0) == after
    fresh = Positions(disk_id=b"d")
    assert core.told_behind(fresh, set_aside_seq=0) == fresh
    assert core.set_aside(STATE, sent=replace(sent, first_seq=12, last_seq=12)) == STATE
