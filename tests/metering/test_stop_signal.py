"""A stop that was asked for at any moment is seen."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from metering.stop_signal import STOP_SIGNALS, StopSignal

TraceFunction = Callable[[FrameType, str, object], object]


@pytest.fixture
def make_stop() -> Iterator[Callable[[], StopSignal]]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    wakeup_before = signal.set_wakeup_fd(-1)
    open_fds: list[int] = []

    def make() -> StopSignal:
        made = StopSignal()
        # The interpreter keeps the one end: it is told when the other one is set again.
        write_fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        open_fds.extend([made._read_fd, write_fd])
        return made

    yield make
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(wakeup_before)
    for fd in open_fds:
        os.close(fd)


@pytest.fixture
def stop(make_stop: Callable[[], StopSignal]) -> StopSignal:
    return make_stop()


def test_nothing_is_set_before_a_signal(stop: StopSignal) -> None:
    assert not stop.is_set()
    assert not stop.wait(0.0)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_ends_every_wait_from_then_on(stop: StopSignal, number: signal.Signals) -> None:
    signal.raise_signal(number)
    assert stop.is_set()
    assert [stop.wait(), stop.wait(), stop.wait(0.0)] == [True, True, True]


def test_any_number_of_signals_is_no_error(stop: StopSignal) -> None:
    for _ in range(100_000):
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait()


def test_a_signal_that_another_thread_gets_wakes_the_one_that_waits(stop: StopSignal) -> None:
    has_woken = threading.Event()
    was_late = threading.Event()

    def get_signal() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if not has_woken.wait(10.0):
            was_late.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    other = threading.Timer(0.05, get_signal)
    other.start()
    assert stop.wait()
    has_woken.set()
    other.join()
    assert not was_late.is_set()


def test_another_signal_is_no_reason_to_stop(stop: StopSignal) -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        signal.raise_signal(signal.SIGUSR1)
        assert not stop.wait(0.0)
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)


def _wait_signalled_at(stop: StopSignal, *, step: int) -> int:
    """Waits with a signal at the n-th step of the wait; returns how many steps it took."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal count
        frame.f_trace_opcodes = True
        count += 1
        if count == step:
            signal.raise_signal(signal.SIGTERM)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        stop.wait(0.0)
    finally:
        sys.settrace(before)
    return count


def test_a_signal_at_any_step_of_a_wait_is_neither_lost_nor_waits_for_itself(
    make_stop: Callable[[], StopSignal],
) -> None:
    step_count = _wait_signalled_at(make_stop(), step=0)
    assert step_count > 10
    for step in range(1, step_count + 1):
        stop = make_stop()
        _wait_signalled_at(stop, step=step)
        assert stop.wait()
