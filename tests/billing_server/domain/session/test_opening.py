"""Opening a session as a decision over numbers; the whole is searched by the shipping model."""

from dataclasses import replace

import pytest

from billing_server.domain.session.opening import (
    Opening,
    OpeningAction,
    OpeningDecision,
    Stream,
    advanced,
    decide_opening,
    opened_stream,
    synced,
)

KNOWN = Stream(disk_id=b"d", session_no=3, session_nonce=b"n3", sync_no=3, applied_seq=20)
# The disk of KNOWN at its next attempt: rows 5 to 24 are kept, those up to 18 were acked.
NEXT = Opening(
    disk_id=b"d", nonce=b"n4", sync_no=4, applied_seq=18, earliest_kept_seq=5, incarnation="i1"
)
FRESH = Opening(disk_id=b"e", nonce=b"n1", sync_no=1, applied_seq=0, earliest_kept_seq=1)
COPY = replace(NEXT, disk_id=b"e", nonce=b"n1", sync_no=1, previous_disk_id=b"d")


def decided(
    opening: Opening,
    *,
    stream: Stream | None = None,
    previous: Stream | None = None,
    incarnation: str = "i1",
) -> OpeningDecision:
    return decide_opening(opening, incarnation=incarnation, stream=stream, previous=previous)


def test_a_known_disk_goes_on_where_the_server_stands() -> None:
    assert decided(NEXT, stream=KNOWN) == OpeningDecision(OpeningAction.CONTINUE, 20)


def test_a_repeated_attempt_gets_the_same_session() -> None:
    assert decided(replace(NEXT, nonce=b"n3", sync_no=3), stream=KNOWN) == OpeningDecision(
        OpeningAction.REPEAT, 20
    )


@pytest.mark.parametrize("sync_no", [0, 2, 3])
def test_a_count_that_does_not_go_on_is_taken(sync_no: int) -> None:
    decision = decided(replace(NEXT, sync_no=sync_no), stream=KNOWN)
    assert decision.action is OpeningAction.TAKEN


def test_a_session_goes_on_under_the_number_of_a_sync_that_was_not_answered() -> None:
    after_sync = synced(KNOWN, sync_no=4, nonce=b"n4")
    assert decided(NEXT, stream=after_sync).action is OpeningAction.CONTINUE
    opened = opened_stream(NEXT, decision=OpeningDecision(OpeningAction.CONTINUE, 20), session_no=4)
    assert decided(NEXT, stream=opened).action is OpeningAction.REPEAT


def test_a_session_that_was_opened_before_the_latest_sync_is_a_disk_that_went_back() -> None:
    after_sync = synced(KNOWN, sync_no=4, nonce=b"n4")
    late = replace(NEXT, nonce=b"n3", sync_no=3)
    assert decided(late, stream=after_sync).action is OpeningAction.TAKEN
    assert decided(replace(NEXT, nonce=b"x"), stream=after_sync).action is OpeningAction.TAKEN


def test_a_count_that_is_further_than_was_ever_answered_shows_that_the_server_went_back() -> None:
    ahead = decided(replace(NEXT, sync_no=5), stream=KNOWN)
    assert (ahead.action, ahead.is_server_behind) == (OpeningAction.CONTINUE, True)
    assert not decided(NEXT, stream=KNOWN).is_server_behind


def test_a_fresh_disk_replaces_the_one_before_it_and_begins_at_one() -> None:
    assert decided(FRESH) == OpeningDecision(OpeningAction.REPLACE_DISK, 0)


def test_a_disk_that_gave_up_its_id_ships_beside_the_other_without_asking_for_what_was_acked() -> (
    None
):
    assert decided(COPY, previous=KNOWN) == OpeningDecision(OpeningAction.ADD_STREAM, 18)


def test_rows_that_nobody_keeps_are_declared_lost() -> None:
    salvaged = replace(NEXT, earliest_kept_seq=31)
    assert decided(salvaged, stream=KNOWN) == OpeningDecision(OpeningAction.CONTINUE, 30, (21, 30))


def test_an_agent_ahead_of_the_server_means_that_the_server_went_back() -> None:
    ahead = replace(NEXT, applied_seq=25, earliest_kept_seq=23)
    # Positions 21 and 22 were applied before the restore and are kept nowhere.
    assert decided(ahead, stream=KNOWN) == OpeningDecision(
        OpeningAction.CONTINUE, 22, (21, 22), is_server_behind=True
    )


def test_an_agent_of_an_older_incarnation_proves_nothing_about_this_one() -> None:
    ahead = replace(NEXT, applied_seq=25)
    decision = decided(ahead, stream=KNOWN, incarnation="i2")
    assert (decision.is_server_behind, decision.applied_seq) == (False, 20)


def test_an_unknown_disk_that_was_answered_before_means_that_the_server_went_back() -> None:
    # A disk's count passes 1 only after an answer.
    assert decided(replace(FRESH, sync_no=2, incarnation="i1")).is_server_behind
    assert not decided(replace(FRESH, sync_no=1, incarnation="i1")).is_server_behind
    assert not decided(replace(FRESH, sync_no=2, incarnation="i0")).is_server_behind


def test_a_copy_whose_origin_is_unknown_means_that_the_server_went_back() -> None:
    assert decided(COPY).is_server_behind
    assert decided(COPY, previous=replace(KNOWN, applied_seq=17)).is_server_behind


def test_an_opened_stream_carries_the_attempt_and_then_advances() -> None:
    decision = decided(NEXT, stream=KNOWN)
    stream = opened_stream(NEXT, decision=decision, session_no=4)
    assert stream == Stream(
        disk_id=b"d", session_no=4, session_nonce=b"n4", sync_no=4, applied_seq=20
    )
    assert advanced(stream, applied_seq=24).applied_seq == 24
