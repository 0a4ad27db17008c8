"""Failed work is tried again, later each time and never later than the bound."""

import pytest

from billing_server.services import due_retries as module
from billing_server.services.due_retries import DueRetries, once_a_run, retry_delay_seconds

KEY = ("period", "sub-1")


def test_the_wait_doubles_from_a_second_to_five_minutes() -> None:
    waits = [retry_delay_seconds(count) for count in (1, 2, 3, 9, 10, 10_000)]
    # 2 ** 8 = 256 after the ninth failure; then the bound of 300.
    assert waits == [1, 2, 4, 256, 300, 300]


def test_work_waits_after_a_failure_and_a_success_forgets_it() -> None:
    now = [0.0]
    retries = DueRetries(lambda: now[0])
    assert retries.may_try(KEY)
    assert retries.note_failure(KEY) == 1
    assert not retries.may_try(KEY)
    assert retries.may_try(("period", "sub-2"))
    now[0] = 1.0
    assert retries.may_try(KEY)
    assert retries.note_failure(KEY) == 2
    now[0] = 2.9
    assert not retries.may_try(KEY)
    retries.note_success(KEY)
    assert retries.may_try(KEY)
    assert retries.note_failure(KEY) == 1


def test_a_run_tries_what_failed_once() -> None:
    retries = once_a_run()
    retries.note_failure(KEY)
    assert not retries.may_try(KEY)


def test_the_memory_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURES_MAX", 2)
    retries = DueRetries(lambda: 0.0)
    for number in range(3):
        retries.note_failure(("period", f"sub-{number}"))
    assert retries.may_try(("period", "sub-0"))
    assert not retries.may_try(("period", "sub-2"))
