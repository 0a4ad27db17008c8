"""Waiting for the server: woken by its ack, bounded in time and number."""

import threading
from contextlib import ExitStack

import pytest

from meter_agent.store.applied_watch import (
    WAITER_COUNT_MAX,
    WAITER_COUNT_MAX_EACH,
    AppliedWatch,
)
from metering.errors import (
    DeadlineError,
    InvalidStateError,
    MeteringError,
    QuotaExceededError,
    UnavailableError,
)
from tests.meter_agent.support import WAIT_SECONDS


class Waiter(threading.Thread):
    """A caller that waits for the first `total` events."""

    def __init__(self, watch: AppliedWatch, total: int) -> None:
        super().__init__(daemon=True)
        self.error: MeteringError | None = None
        self.is_asked = threading.Event()
        self._watch = watch
        self._total = total
        self.start()
        assert self.is_asked.wait(WAIT_SECONDS)

    def run(self) -> None:
        try:
            self._watch.wait(
                _first(self._total), timeout_seconds=WAIT_SECONDS, is_wanted=self._is_wanted
            )
        except MeteringError as error:
            self.error = error

    def _is_wanted(self) -> bool:
        self.is_asked.set()
        return True

    def ended(self) -> bool:
        self.join(WAIT_SECONDS)
        return not self.is_alive()


def _first(total: int) -> list[range]:
    return [range(1, total + 1)]


def test_a_waiter_goes_on_once_its_events_are_applied() -> None:
    watch = AppliedWatch()
    first, second = Waiter(watch, 5), Waiter(watch, 6)
    watch.advance(5)
    assert first.ended()
    assert second.is_alive()
    watch.advance(3)  # A restored server: what was applied is not any more.
    watch.advance(6)
    assert second.ended()
    assert (first.error, second.error) == (None, None)


def test_what_is_applied_already_does_not_wait() -> None:
    watch = AppliedWatch()
    watch.advance(7)
    watch.wait(_first(7), timeout_seconds=0, is_wanted=lambda: False)


def test_the_deadline_says_that_the_events_are_durable() -> None:
    with pytest.raises(DeadlineError, match="will be counted once") as caught:
        AppliedWatch().wait(_first(1), timeout_seconds=0, is_wanted=lambda: True)
    assert caught.value.reason == "NOT_APPLIED_IN_TIME"
    with pytest.raises(DeadlineError):
        AppliedWatch().wait(_first(1), timeout_seconds=WAIT_SECONDS, is_wanted=lambda: False)


def test_a_failure_lets_go_who_waits_now_and_a_stop_whoever_comes() -> None:
    watch = AppliedWatch()
    waiter = Waiter(watch, 1)
    watch.fail(UnavailableError(reason="GONE", message="gone"))
    assert waiter.ended()
    assert waiter.error is not None
    assert waiter.error.reason == "GONE"
    later = Waiter(watch, 1)
    watch.close()
    assert later.ended()
    with pytest.raises(UnavailableError, match="will be counted") as caught:
        watch.wait(_first(1), timeout_seconds=WAIT_SECONDS, is_wanted=lambda: True)
    assert caught.value.reason == "SHUTTING_DOWN"


def test_the_places_are_bounded_in_all_and_for_each_service() -> None:
    watch = AppliedWatch()
    with ExitStack() as stack:
        for _ in range(WAITER_COUNT_MAX_EACH):
            stack.enter_context(watch.place("greedy"))
        with pytest.raises(QuotaExceededError, match="nothing was recorded") as caught:
            stack.enter_context(watch.place("greedy"))
        assert caught.value.reason == "TOO_MANY_WAITING"
        for number in range(WAITER_COUNT_MAX - WAITER_COUNT_MAX_EACH):
            stack.enter_context(watch.place(f"other-{number}"))
        with pytest.raises(QuotaExceededError):
            stack.enter_context(watch.place("one too many"))
    with watch.place("greedy"):
        pass


def test_only_the_caller_of_an_event_that_was_set_aside_is_told() -> None:
    watch = AppliedWatch()
    watch.set_aside(3, message="it is bad")
    watch.advance(6)
    watch.wait([range(1, 3), range(4, 7)], timeout_seconds=0, is_wanted=lambda: True)
    with pytest.raises(InvalidStateError, match="it is bad") as caught:
        watch.wait([range(1, 2), range(3, 4)], timeout_seconds=0, is_wanted=lambda: True)
    assert caught.value.reason == "EVENT_SET_ASIDE"
