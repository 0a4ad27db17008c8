"""Leases at the server: counters only rise, and a state only moves towards closed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.limit.lease import (
    Lease,
    LeaseReport,
    LeaseState,
    WindowKey,
    bearable,
    closed_if_done,
    debited,
    granted,
    recalled,
    reclaimed,
    released,
    reported,
    written_off,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = WindowKey("acme", "tokens", "2026-03/month")
LEASE = Lease(lease_id=bytes(16), key=KEY, agent_ref=1, granted=100, create_time=NOON)


def report(
    *, granted: int = 100, returned: int = 0, consumed: int = 0, held: int = 0
) -> LeaseReport:
    return LeaseReport(granted=granted, returned=returned, consumed=consumed, held=held)


def test_the_rest_is_what_is_neither_returned_nor_settled_and_never_below_zero() -> None:
    assert LEASE.rest == 100
    assert replace(LEASE, returned=30, settled=20).rest == 50
    assert replace(LEASE, granted=0, settled=20).rest == 0


def test_a_late_report_lowers_no_counter() -> None:
    told = reported(LEASE, report=report(returned=40, consumed=20, held=10), now=NOON)
    late = reported(told, report=report(returned=10, consumed=5), now=NOON)
    assert (late.granted, late.returned, late.consumed, late.held) == (100, 40, 20, 0)


def test_a_restored_server_adopts_what_the_agent_was_granted() -> None:
    forgotten = replace(LEASE, granted=0, settled=20)
    told = reported(forgotten, report=report(granted=100, returned=10), now=NOON)
    assert (told.granted, told.rest, told.report_time) == (100, 70, NOON)


def test_what_is_free_counts_what_the_server_settled_before_the_agent_told() -> None:
    assert replace(LEASE, settled=30, consumed=10, held=5).free == 65


def test_a_debit_takes_from_the_rest_and_what_it_cannot_bear_is_overrun() -> None:
    spent = debited(LEASE, amount=90)
    assert (spent.rest, bearable(spent, amount=25)) == (10, 10)
    assert debited(spent, amount=25).rest == 0


def test_a_recall_waits_for_one_answer() -> None:
    asked = recalled(recalled(LEASE))
    assert (asked.recall_no, asked.is_recalled) == (1, True)
    answered = reported(
        asked,
        report=LeaseReport(granted=100, returned=100, consumed=0, held=0, recall_no=1),
        now=NOON,
    )
    assert (answered.is_recalled, recalled(answered).recall_no) == (False, 2)


def test_a_reclaimed_lease_stays_unknown_until_its_agent_has_settled_all_of_it() -> None:
    silent = reclaimed(LEASE)
    assert (silent.state, silent.is_recalled) == (LeaseState.RECLAIMED, True)
    back = reported(silent, report=report(returned=60, consumed=40), now=NOON)
    assert (back.state, back.rest) == (LeaseState.RECLAIMED, 40)
    assert debited(back, amount=40).state is LeaseState.CLOSED


def test_reclaiming_and_writing_off_never_open_a_closed_lease() -> None:
    closed = closed_if_done(replace(LEASE, returned=100))
    assert closed.state is LeaseState.CLOSED
    assert reclaimed(closed) == closed
    assert written_off(closed) == closed


def test_a_lost_agents_lease_is_presumed_used_even_where_it_was_reclaimed() -> None:
    assert written_off(reclaimed(LEASE)).state is LeaseState.WRITTEN_OFF
    assert reclaimed(written_off(LEASE)).state is LeaseState.WRITTEN_OFF


def test_releasing_a_written_off_lease_tells_what_the_bound_grows_by() -> None:
    lost = written_off(replace(LEASE, settled=30))
    assert released(lost) == (replace(lost, state=LeaseState.CLOSED), 70)
    assert released(LEASE) == (LEASE, 0)


def test_a_live_lease_is_granted_more_under_its_own_id() -> None:
    assert granted(LEASE, amount=50).granted == 150


def test_an_agent_that_closes_a_lease_closes_it_once_nothing_is_left_in_it() -> None:
    done = LeaseReport(granted=100, returned=60, consumed=40, held=0, is_closed=True)
    assert reported(LEASE, report=done, now=NOON).state is LeaseState.LIVE
    assert reported(replace(LEASE, settled=40), report=done, now=NOON).state is LeaseState.CLOSED


@given(
    st.lists(
        st.builds(
            LeaseReport,
            granted=st.integers(0, 200),
            returned=st.integers(0, 200),
            consumed=st.integers(0, 200),
            held=st.integers(0, 50),
        ),
        max_size=6,
    )
)
def test_reports_in_any_order_leave_the_same_counters(reports: list[LeaseReport]) -> None:
    def counters(order: list[LeaseReport]) -> tuple[int, int, int]:
        lease = LEASE
        for number, each in enumerate(order):
            lease = reported(lease, report=each, now=NOON + timedelta(seconds=number))
        return lease.granted, lease.returned, lease.consumed

    assert counters(reports) == counters(reports[::-1]) == counters(reports + reports)
