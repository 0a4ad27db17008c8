"""Syncs at the agent: numbering, and what an answer changes."""

from dataclasses import replace

import pytest

from meter_agent.core.positions import Positions, session_attempted
from meter_agent.core.quota.lease import Lease, available, hold, recalled, reloaded
from meter_agent.core.quota.sync import (
    LeaseNews,
    SyncOutcome,
    given_up,
    idle_returned,
    is_latest,
    may_forget,
    run_out,
    sync_answered,
    sync_attempted,
    with_news,
)

SECOND = 1_000_000
OPEN = Positions(disk_id=b"d", session_no=3, sync_no=7, server_incarnation="i")
LEASE = Lease(lease_id=bytes(16), customer_id="acme", limit_key="tokens", granted=100)
NEWS = LeaseNews(
    lease_id=bytes(16), customer_id="acme", limit_key="tokens", window_id="w", granted=150
)


def answered(
    state: Positions, outcome: SyncOutcome, nonce: bytes = b"n", session_no: int = 3
) -> Positions:
    return sync_answered(
        state,
        outcome=outcome,
        session_no=session_no,
        attempt_nonce=nonce,
        fresh_disk_id=b"e",
    )


def news(lease: Lease | None, told: LeaseNews, *, sent_at_us: int = 0, now_us: int = 0) -> Lease:
    return with_news(lease, news=told, sent_at_us=sent_at_us, now_us=now_us)


def test_a_sync_takes_the_next_number_and_one_that_was_not_answered_is_repeated_under_it() -> None:
    attempt = sync_attempted(OPEN, fresh_nonce=b"n")
    assert (attempt.sync_no, attempt.nonce) == (8, b"n")
    assert sync_attempted(attempt, fresh_nonce=b"other") == attempt
    done = answered(attempt, SyncOutcome.DONE)
    assert sync_attempted(done, fresh_nonce=b"m").sync_no == 9


def test_only_the_answer_to_the_latest_attempt_is_heeded() -> None:
    attempt = sync_attempted(OPEN, fresh_nonce=b"n")
    assert is_latest(attempt, session_no=3, attempt_nonce=b"n")
    assert answered(attempt, SyncOutcome.DONE, nonce=b"old") == attempt
    assert answered(attempt, SyncOutcome.DONE, session_no=2) == attempt
    assert answered(OPEN, SyncOutcome.FENCED, nonce=b"") == OPEN


def test_a_fenced_sync_hands_its_number_and_nonce_on_to_the_next_session() -> None:
    fenced = answered(sync_attempted(OPEN, fresh_nonce=b"n"), SyncOutcome.FENCED)
    session = session_attempted(fenced, fresh_nonce=b"other")
    assert (session.session_no, session.sync_no, session.nonce) == (0, 8, b"n")


def test_a_disk_whose_identity_is_taken_gets_another_and_keeps_its_rows() -> None:
    state = replace(sync_attempted(OPEN, fresh_nonce=b"n"), next_seq=10, applied_seq=4)
    taken = answered(state, SyncOutcome.IDENTITY_TAKEN)
    assert taken == Positions(
        disk_id=b"e",
        previous_disk_id=b"d",
        server_incarnation="i",
        next_seq=10,
        applied_seq=4,
    )


def test_a_grant_raises_what_is_free_and_an_older_answer_lowers_nothing() -> None:
    more = news(LEASE, NEWS)
    assert more.free == 150
    assert news(more, replace(NEWS, granted=120)).granted == 150


def test_the_time_of_a_lease_counts_from_the_moment_its_request_was_sent() -> None:
    told = replace(NEWS, remaining_us=60 * SECOND, starts_after_us=2 * SECOND)
    lease = news(LEASE, told, sent_at_us=10 * SECOND, now_us=15 * SECOND)
    assert (lease.usable_from_us, lease.usable_until_us) == (12 * SECOND, 70 * SECOND)


def test_a_restarted_agents_lease_is_spendable_again_once_it_was_confirmed() -> None:
    waiting = replace(LEASE, usable_until_us=0)
    assert available(news(waiting, NEWS), now_us=5) == 150


def test_a_lease_that_is_not_on_record_is_adopted_with_what_the_server_knows_of_its_use() -> None:
    lease = news(None, replace(NEWS, returned=20, settled=30))
    assert (lease.granted, lease.returned, lease.consumed, lease.free) == (150, 20, 30, 100)


def test_a_disk_that_went_back_learns_what_it_had_consumed() -> None:
    lease = news(replace(LEASE, consumed=10, held=30), replace(NEWS, granted=100, settled=60))
    assert (lease.consumed, lease.held, lease.free) == (60, 30, 10)
    # What is held stays held, whatever the server has counted.
    full = news(replace(LEASE, consumed=10, held=30), replace(NEWS, granted=100, settled=95))
    assert (full.consumed, full.free) == (70, 0)


def test_a_recall_is_answered_with_what_is_free_after_the_grant() -> None:
    lease = news(hold(LEASE, amount=30, now_us=0), replace(NEWS, recall_no=1))
    assert (lease.returned, lease.held, lease.free, lease.recall_no) == (120, 30, 0, 1)
    assert news(lease, replace(NEWS, recall_no=1, granted=160)).free == 10


def test_a_lease_that_the_server_closed_takes_nothing_new() -> None:
    lease = news(hold(LEASE, amount=30, now_us=0), replace(NEWS, is_closed=True))
    assert (lease.is_closed, lease.free, lease.held) == (True, 0, 30)
    assert available(news(lease, NEWS), now_us=0) == 0


def test_after_a_restart_a_share_goes_on_with_what_its_bucket_had_when_it_was_written() -> None:
    told = replace(NEWS, granted=20, rate_per_minute=60, burst=50, remaining_us=60 * SECOND)
    share = hold(news(None, told), amount=5, now_us=SECOND // 2)
    assert share.tokens_us == 15.5 * 60 * SECOND
    back = reloaded(share)
    assert available(back, now_us=9 * SECOND) == 0
    confirmed = news(back, told, sent_at_us=9 * SECOND, now_us=9 * SECOND)
    assert available(confirmed, now_us=9 * SECOND) == 15
    assert available(confirmed, now_us=12 * SECOND) == 18
    # The server closed it meanwhile.
    closed = news(back, replace(told, is_closed=True), sent_at_us=9 * SECOND, now_us=9 * SECOND)
    assert available(closed, now_us=9 * SECOND) == 0


def test_a_share_of_a_rate_gets_the_tokens_that_were_put_into_its_bucket() -> None:
    told = replace(NEWS, granted=20, rate_per_minute=60, burst=50, remaining_us=60 * SECOND)
    share = news(None, told)
    assert (available(share, now_us=0), available(share, now_us=3 * SECOND)) == (20, 23)
    # Told again: no tokens twice.
    again = news(share, told, sent_at_us=3 * SECOND, now_us=3 * SECOND)
    assert available(again, now_us=3 * SECOND) == 23
    grown = news(again, replace(told, granted=25, rate_per_minute=120), now_us=3 * SECOND)
    assert (available(grown, now_us=3 * SECOND), grown.rate_per_minute) == (28, 120)


def test_leases_whose_time_is_over_give_back_what_is_free_and_are_closed() -> None:
    over = replace(hold(LEASE, amount=10, now_us=0), usable_until_us=5)
    found = run_out([LEASE, over, replace(LEASE, usable_until_us=0)], now_us=5)
    assert [(each.is_closed, each.returned, each.held) for each in found] == [(True, 90, 10)]
    assert run_out(found, now_us=5) == ()


def test_an_answer_from_before_a_recall_gives_no_share_back_that_was_returned_since() -> None:
    told = replace(NEWS, granted=20, rate_per_minute=60, burst=30, remaining_us=60 * SECOND)
    share = news(None, told)
    back = news(share, replace(told, recall_no=1), sent_at_us=SECOND, now_us=SECOND)
    assert available(back, now_us=2 * SECOND) == 0
    # AcquireLease and SyncLeases are two calls: the answer to one may be late.
    late = news(back, told, sent_at_us=SECOND, now_us=2 * SECOND)
    assert (late.rate_per_minute, available(late, now_us=30 * SECOND)) == (0, 0)


def test_a_share_runs_out_once() -> None:
    # The keeper would commit without a pause for what stays due.
    told = replace(NEWS, granted=20, rate_per_minute=60, burst=50, remaining_us=60 * SECOND)
    found = run_out([news(None, told)], now_us=61 * SECOND)
    assert [each.is_closed for each in found] == [True]
    assert run_out(found, now_us=62 * SECOND) == ()
    assert run_out([news(found[0], replace(told, is_closed=True))], now_us=63 * SECOND) == ()


def test_a_hold_that_ends_in_a_closed_lease_is_given_back_as_well() -> None:
    (over,) = run_out([replace(hold(LEASE, amount=10, now_us=0), usable_until_us=5)], now_us=5)
    (back,) = run_out([replace(over, held=0)], now_us=6)
    assert (back.returned, back.free) == (100, 0)


@pytest.mark.parametrize("recall_no", [0, 1])
def test_a_share_whose_time_is_over_is_closed_once_recalled_before_or_not(recall_no: int) -> None:
    told = replace(NEWS, granted=20, rate_per_minute=60, burst=50, remaining_us=60 * SECOND)
    share = recalled(news(None, told), recall_no=recall_no)
    closed = run_out([share], now_us=60 * SECOND)
    assert [(each.is_closed, each.rate_per_minute, each.free) for each in closed] == [(True, 0, 20)]
    assert run_out(closed, now_us=60 * SECOND) == ()


def test_a_hold_that_ends_in_a_lease_closed_by_the_server_is_given_back_as_well() -> None:
    # Its agent was forgotten, and came back with a call still running.
    held = hold(LEASE, amount=10, now_us=0)
    lost = news(held, replace(NEWS, granted=100, is_closed=True), now_us=5)
    assert (lost.returned, lost.is_usable(5), run_out([lost], now_us=6)) == (90, False, ())
    (back,) = run_out([replace(lost, held=0)], now_us=6)
    assert (back.returned, back.free) == (100, 0)


def test_what_comes_free_of_a_lease_closed_in_an_earlier_process_goes_back() -> None:
    closed = replace(LEASE, returned=40, consumed=10, is_closed=True, usable_until_us=0)
    (back,) = run_out([closed], now_us=0)
    assert (back.returned, back.free) == (90, 0)
    assert run_out([back], now_us=0) == ()


def test_idle_quota_goes_back_but_for_the_float() -> None:
    assert idle_returned(LEASE, keep=30).free == 30
    assert idle_returned(LEASE, keep=100) == LEASE


def test_a_copied_disk_gives_its_leases_up_without_returning_them() -> None:
    (lease,) = given_up([hold(LEASE, amount=10, now_us=0)])
    assert (lease.returned, lease.held, available(lease, now_us=0)) == (0, 10, 0)
    # Nor later, whatever a server that adopted them says.
    told = news(lease, replace(NEWS, recall_no=1, is_closed=True))
    assert (told.returned, told.recall_no) == (0, 1)
    assert run_out([replace(told, held=0)], now_us=5) == ()


@pytest.mark.parametrize(
    ("lease", "last_event_seq", "may"),
    [
        (replace(LEASE, is_closed=True, returned=100), 5, True),
        (replace(LEASE, is_closed=True, returned=100), 6, False),
        (replace(LEASE, returned=100), 5, False),
        (replace(LEASE, is_closed=True, returned=99, held=1), 0, False),
        # What is free is to go back first, unless it never may, or was only put into a bucket.
        (replace(LEASE, is_closed=True, returned=99), 0, False),
        (replace(LEASE, is_closed=True, is_given_up=True), 0, True),
        (replace(LEASE, is_closed=True, burst=50), 0, True),
    ],
)
def test_a_leases_row_stays_until_its_last_event_is_safe(
    lease: Lease, last_event_seq: int, may: bool
) -> None:
    assert may_forget(lease, last_event_seq=last_event_seq, deletable_seq=5) is may
