"""Who may still record when the disk budget comes to its end."""

from meter_agent.core.disk_budget import (
    ACTIVE_SECONDS,
    CALLER_COUNT_MAX,
    SEGMENT_COUNT_MAX,
    Admission,
    CallerAccounts,
    DiskBudget,
)

BUDGET = DiskBudget(bytes_max=1_000)
"""Warns at 700, refuses a caller alone at 950; 1,000 in all."""


class Buffer:
    """A buffer that takes what the accounts let in."""

    def __init__(self, *, kept_before: int = 0) -> None:
        self.accounts = CallerAccounts(BUDGET)
        self.end_bytes = kept_before
        self.kept_from_bytes = 0
        self.now = 0.0

    def record(self, caller: str, byte_count: int) -> Admission:
        admission = self.accounts.admit(
            caller,
            byte_count=byte_count,
            kept_bytes=self.end_bytes - self.kept_from_bytes,
            now_seconds=self.now,
        )
        if admission is Admission.TAKEN:
            self.end_bytes += byte_count
            self.accounts.book(caller, byte_count=byte_count, end_bytes=self.end_bytes)
        return admission

    def fill(self, caller: str, *, step: int = 10) -> int:
        """Records until it is refused; returns the bytes that were taken."""
        taken = 0
        while self.record(caller, step) is Admission.TAKEN:
            taken += step
        return taken

    def delete(self, byte_count: int) -> None:
        self.kept_from_bytes += byte_count
        self.accounts.release(kept_from_bytes=self.kept_from_bytes)


def test_the_thresholds_are_70_and_95_percent() -> None:
    assert (BUDGET.warn_bytes, BUDGET.refuse_bytes, BUDGET.clear_bytes) == (700, 950, 650)
    assert DiskBudget(bytes_max=1 << 30).refuse_bytes == 1_020_054_732  # 1,073,741,824 * 0.95


def test_a_caller_alone_fills_up_to_95_percent() -> None:
    buffer = Buffer()
    assert buffer.fill("a") == 950
    assert buffer.record("a", 1) is Admission.FULL


def test_what_was_there_before_the_start_counts_and_belongs_to_nobody() -> None:
    buffer = Buffer(kept_before=600)
    assert buffer.fill("a") == 350
    assert buffer.accounts.held == {"a": 350}


def test_the_threshold_for_those_above_their_share_falls_with_the_number_of_callers() -> None:
    # 950 - 250 * (n - 1) / n
    assert [BUDGET.crowded_bytes(caller_count=n) for n in (1, 2, 5, 250)] == [950, 825, 750, 701]


def test_a_newcomer_still_records_after_another_has_filled_the_buffer() -> None:
    buffer = Buffer()
    buffer.fill("greedy")
    # Its share is 475; of the budget 50 are left.
    assert buffer.fill("modest") == 50
    assert buffer.record("modest", 10) is Admission.FULL


def test_of_two_callers_the_greedy_one_stops_early_and_the_other_has_room() -> None:
    buffer = Buffer()
    assert buffer.record("modest", 10) is Admission.TAKEN
    assert buffer.fill("greedy") == 810  # Up to 825 in all, in steps of 10.
    assert buffer.record("greedy", 10) is Admission.OVER_SHARE
    assert buffer.fill("modest") == 180  # Up to 1,000 in all.
    assert buffer.record("modest", 10) is Admission.FULL


def test_while_the_server_catches_up_the_room_goes_to_who_holds_less() -> None:
    buffer = Buffer()
    buffer.fill("greedy")
    buffer.fill("modest")
    buffer.delete(60)  # The oldest: the greedy one's. 940 are left.
    assert buffer.record("greedy", 10) is Admission.OVER_SHARE
    assert buffer.record("modest", 10) is Admission.TAKEN


def test_a_caller_that_went_away_takes_no_share() -> None:
    buffer = Buffer()
    buffer.record("gone", 10)
    buffer.now += ACTIVE_SECONDS + 1
    assert buffer.fill("a") == 940  # 950 in all.


def test_ten_callers_end_with_about_the_same() -> None:
    buffer = Buffer()
    names = [f"caller-{number}" for number in range(10)]
    is_anyone_taken = True
    while is_anyone_taken:
        # The first one tries nine times as often as the others.
        tries = [names[0]] * 9 + names[1:]
        outcomes = [buffer.record(name, 1) for name in tries]
        is_anyone_taken = Admission.TAKEN in outcomes
    held = buffer.accounts.held
    # Shares are 950 / 10 = 95. The first takes what it can before it gets crowded: at most
    # 950 - 250 * 9 / 10 = 725 in all, of which it brings 9 of 18.
    assert min(held[name] for name in names[1:]) >= 60
    assert sum(held.values()) <= 1_000


def test_deleted_rows_leave_the_accounts_and_memory_stays_bounded() -> None:
    buffer = Buffer()
    for turn in range(5_000):
        assert buffer.record(f"caller-{turn % 3}", 10) is Admission.TAKEN
        buffer.delete(10)
    assert sum(buffer.accounts.held.values()) <= 10
    accounts = CallerAccounts(DiskBudget(bytes_max=SEGMENT_COUNT_MAX * 100))
    for number in range(SEGMENT_COUNT_MAX * 100):
        accounts.book("a", byte_count=1, end_bytes=number + 1)
    assert len(accounts._segments) <= SEGMENT_COUNT_MAX


def test_callers_without_end_are_forgotten_the_longest_silent_first() -> None:
    buffer = Buffer()
    for number in range(CALLER_COUNT_MAX + 5):
        buffer.now += 1
        buffer.record(f"caller-{number}", 1)
    assert len(buffer.accounts.held) == CALLER_COUNT_MAX
    assert "caller-4" not in buffer.accounts.held
    assert "caller-5" in buffer.accounts.held
    buffer.delete(100)
    assert buffer.accounts.held == {}
