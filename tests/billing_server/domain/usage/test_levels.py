"""Levels weighted by the time for which they hold."""

from billing_server.domain.ports.usage_facts import Reading
from billing_server.domain.usage.levels import level_before, level_time

DAY = 86_400 * 1_000_000


def level(day: int, value: int) -> Reading:
    return Reading(1, day * DAY, f"e{day}", value, False, None)


def change(day: int, value: int) -> Reading:
    return Reading(1, day * DAY, f"a{day}", value, True, None)


def test_r19_each_level_counts_for_as_long_as_it_holds() -> None:
    found = level_time(0, changes=[level(0, 10), level(10, 20)], start_us=0, end_us=30 * DAY)
    assert found == 10 * 10 * DAY + 20 * 20 * DAY


def test_r18_a_level_is_carried_over_the_border_and_holds_without_an_event() -> None:
    assert level_time(7, changes=[], start_us=0, end_us=30 * DAY) == 7 * 30 * DAY
    assert level_time(7, changes=[level(29, 0)], start_us=0, end_us=30 * DAY) == 7 * 29 * DAY


def test_a_change_behind_the_end_counts_nothing() -> None:
    assert level_time(1, changes=[level(5, 100)], start_us=0, end_us=5 * DAY) == 5 * DAY


def test_r18_changes_carry_the_true_signed_level() -> None:
    # −3 and then +4 is 1, not 4: what was charged for −3 is not carried, the level is.
    assert level_before([change(9, 4), change(3, -3)]) == 1
    assert level_before([change(9, 4), level(5, 10), change(3, -3)]) == 14
    assert level_before([]) == 0
    during = [change(0, -3), change(10, 4)]
    assert level_time(0, changes=during, start_us=0, end_us=30 * DAY) == (-3 * 10 + 1 * 20) * DAY
