"""The conservation line: every accepted event is somewhere."""

from dataclasses import replace

from meter_agent.core.conservation import Ledger, PushCounts, imbalance, moved, pushed
from meter_agent.core.positions import Positions

STATE = Positions(disk_id=b"d" * 16, earliest_kept_seq=40, next_seq=101, applied_seq=60)
"""Positions 40 to 100 are on disk, 61 to 100 (40 events) wait."""


def counts(
    counted: int = 0, duplicates: int = 0, conflicts: int = 0, quarantined: int = 0
) -> PushCounts:
    return PushCounts(counted, duplicates, conflicts, quarantined)


def test_the_line_holds_where_the_answers_name_every_event() -> None:
    # 40 carried over, 10 accepted; 30 acked as 25 + 2 + 1 + 2; 20 still wait: 50 = 30 + 20.
    ledger = pushed(Ledger(carried_over=40), counts(25, 2, 1, 2))
    assert ledger == Ledger(carried_over=40, counted=25, duplicates=2, conflicts=1, quarantined=2)
    assert imbalance(ledger, accepted=10, buffered=20) == 0


def test_an_event_that_nobody_names_is_an_imbalance_above_zero() -> None:
    ledger = pushed(Ledger(carried_over=40), counts(counted=29))
    assert imbalance(ledger, accepted=0, buffered=10) == 1  # 40 in, 29 + 10 out.


def test_an_event_that_is_named_twice_is_an_imbalance_below_zero() -> None:
    ledger = pushed(Ledger(carried_over=40), counts(counted=30, duplicates=1))
    assert imbalance(ledger, accepted=0, buffered=10) == -1  # 40 in, 31 + 10 out.


def test_rows_sent_again_after_a_restore_are_taken_back_first() -> None:
    # 20 acked; then the server goes back and every row kept, 40 to 100, waits again: 61 events.
    ledger = pushed(Ledger(carried_over=60), counts(counted=20))
    after = replace(STATE, applied_seq=39)
    again = moved(ledger, before=STATE, after=after)
    assert again.taken_back == 21  # 61 wait now, 40 did.
    # 60 carried over + 21 taken back = 20 counted + 61 buffered.
    assert imbalance(again, accepted=0, buffered=61) == 0
    assert imbalance(pushed(again, counts(61)), accepted=0, buffered=0) == 0


def test_a_declared_loss_stands_on_the_line() -> None:
    ledger = pushed(Ledger(carried_over=50), counts(counted=50))
    lost = moved(ledger, before=STATE, after=STATE, declared_lost=5)
    assert (lost.taken_back, lost.declared_lost) == (5, 5)
    assert imbalance(lost, accepted=0, buffered=0) == 0  # 50 + 5 = 50 + 5.


def test_what_a_damaged_disk_lost_stands_on_the_line() -> None:
    ledger = pushed(Ledger(carried_over=40), counts(30))
    # 40 in = 30 counted + 4 lost to damage + 6 buffered.
    assert imbalance(ledger, accepted=0, buffered=6, damaged=4) == 0


def test_positions_that_fall_without_an_ack_are_an_imbalance() -> None:
    # Ten waiting events vanish: nothing was acked, and nothing was declared.
    before, after = STATE, replace(STATE, applied_seq=70)
    ledger = moved(Ledger(carried_over=40), before=before, after=after)
    assert imbalance(ledger, accepted=0, buffered=after.buffered_count) == 10
