"""An event that is set aside leaves the line to both sides' real decisions."""

from billing_server.domain.session.opening import Opening, OpeningAction, Stream, decide_opening
from meter_agent.core import positions as core
from meter_agent.core.positions import Positions, PushSent

DISK, NONCE, INCARNATION = b"d" * 16, b"n" * 16, "i1"


def test_the_server_writes_a_set_aside_event_down_as_lost_and_not_itself_as_restored() -> None:
    # 9 are applied, 10 is refused for good, 11 to 20 wait.
    state = Positions(
        disk_id=DISK,
        server_incarnation=INCARNATION,
        session_no=3,
        sync_no=3,
        earliest_kept_seq=5,
        next_seq=21,
        applied_seq=9,
        safe_seq=4,
    )
    sent = PushSent(session_no=3, server_incarnation=INCARNATION, first_seq=10, last_seq=10)
    attempt = core.session_attempted(core.set_aside(state, sent=sent), fresh_nonce=NONCE)
    told = core.told_behind(attempt, set_aside_seq=10)
    decision = decide_opening(
        Opening(
            disk_id=told.disk_id,
            nonce=told.nonce,
            sync_no=told.sync_no,
            applied_seq=told.applied_seq,
            earliest_kept_seq=told.earliest_kept_seq,
            incarnation=told.server_incarnation,
        ),
        incarnation=INCARNATION,
        stream=Stream(
            disk_id=DISK, session_no=3, session_nonce=b"o" * 16, sync_no=3, applied_seq=9
        ),
        previous=None,
    )
    assert decision.action is OpeningAction.CONTINUE
    assert decision.is_server_behind is False
    assert (decision.lost, decision.applied_seq) == ((10, 10), 10)
