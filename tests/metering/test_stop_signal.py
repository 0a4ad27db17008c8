"""A stop that was asked for at any moment is seen."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from metering.stop_signal import STOP_SIGNALS, StopSignal

TraceFunction = Callable[[FrameType, str, object], object]


@pytest.fixture
def make_stop() -> Iterator[Callable[[], StopSignal]]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    made: list[StopSignal] = []

    def make() -> StopSignal:
        made.append(StopSignal())
        return made[-1]

    yield make
    for number, handler in before.items():
        signal.signal(number, handler)
    for stop in made:
        os.close(stop._read_fd)
        os.close(stop._write_fd)


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


def test_any_number_of_signals_fills_nothing(stop: StopSignal) -> None:
    for _ in range(100_000):
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait()
    assert len(os.read(stop._read_fd, 100)) == 1


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
