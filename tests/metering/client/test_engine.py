"""The engine's thread: it survives surprises, and its end is bounded."""

import threading

import pytest

from metering.client.delivery import Failure, FailureKind, Rejection
from metering.client.engine import MeterEngine
from metering.client.event import RecordedEvent
from metering.client.options import MeterOptions
from metering.client.transport import TransportError


class OneSurprise:
    """A transport that fails once in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.requests = 0

    def record_usage(self, request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        self.requests += 1
        if self.requests == 1:
            raise RuntimeError("surprise")
        return ()

    def close(self) -> None:
        pass


def _event(name: str) -> RecordedEvent:
    return RecordedEvent(name, "acme", {"requests": 1}, None, 0)


def _engine(transport: OneSurprise) -> MeterEngine:
    return MeterEngine("127.0.0.1:1", options=MeterOptions(), connect=lambda _address: transport)


def test_an_unforeseen_exception_loses_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.client.engine.ERROR_PAUSE_SECONDS", 0.01)
    transport = OneSurprise()
    engine = _engine(transport)
    engine.add(_event("a"))
    assert engine.flush(timeout_seconds=10)
    assert engine.stats().accepted == 1
    assert "the sender of usage events failed, going on" in caplog.text
    assert "surprise" in caplog.text
    engine.stop()


def test_the_thread_ends_with_the_engine() -> None:
    engine = _engine(OneSurprise())
    engine.add(_event("a"))
    engine.flush(timeout_seconds=10)
    thread = engine._thread
    assert thread is not None
    engine.stop()
    thread.join(5)
    assert not thread.is_alive()
    engine.stop()


def test_a_signal_handler_may_record_while_its_thread_starts_the_sender(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport = OneSurprise()
    transport.requests = 1
    engine = _engine(transport)
    monkeypatch.setattr(
        "metering.client.engine._flush_at_exit_of_multiprocessing_child",
        lambda: engine.add(_event("handler")),
    )
    recording = threading.Thread(target=engine.add, args=(_event("main"),), daemon=True)
    recording.start()
    recording.join(10)
    assert not recording.is_alive()
    assert engine.flush(timeout_seconds=10)
    assert engine.stats().accepted == 2
    engine.stop()


def test_one_thread_is_started_however_many_record_first() -> None:
    transport = OneSurprise()
    transport.requests = 1
    engine = _engine(transport)
    barrier = threading.Barrier(8)

    def record_first() -> None:
        barrier.wait()
        engine.add(_event("x"))

    threads = [threading.Thread(target=record_first) for _ in range(8)]
    # Threads themselves, not their number: one of an earlier test may end meanwhile.
    before = set(threading.enumerate())
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(threading.enumerate()) - before == {engine._thread}
    assert engine.flush(timeout_seconds=10)
    assert engine.stats().accepted == 8
    engine.stop()


def test_a_paused_engine_sends_nothing_until_it_is_resumed() -> None:
    transport = OneSurprise()
    transport.requests = 1
    engine = _engine(transport)
    engine.pause_for_fork(timeout_seconds=1)
    engine.add(_event("a"))
    assert not engine.flush(timeout_seconds=0.05)
    engine.resume_after_fork()
    assert engine.flush(timeout_seconds=10)
    engine.resume_after_fork()
    engine.stop()


def test_two_forks_at_once_leave_the_sender_running() -> None:
    transport = OneSurprise()
    transport.requests = 1
    engine = _engine(transport)
    engine.pause_for_fork(timeout_seconds=1)
    engine.pause_for_fork(timeout_seconds=0)
    engine.resume_after_fork()
    engine.resume_after_fork()
    engine.add(_event("a"))
    assert engine.flush(timeout_seconds=10)
    engine.stop()


class HangingUntilClosed:
    """A transport to an agent that never answers."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self._is_closed = threading.Event()

    def record_usage(self, request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        self.is_asked.set()
        assert self._is_closed.wait(30)
        raise TransportError(Failure(FailureKind.TRANSIENT, "CANCELLED", "closed"))

    def close(self) -> None:
        self._is_closed.set()


def test_a_fork_cuts_a_request_that_hangs_and_sends_its_events_again() -> None:
    hanging, answering = HangingUntilClosed(), OneSurprise()
    answering.requests = 1
    transports: list[HangingUntilClosed | OneSurprise] = [hanging, answering]
    options = MeterOptions(backoff_initial_seconds=0.01, backoff_max_seconds=0.01)
    engine = MeterEngine("127.0.0.1:1", options=options, connect=lambda _: transports.pop(0))
    engine.add(_event("a"))
    assert hanging.is_asked.wait(30)
    engine.pause_for_fork(timeout_seconds=0.01)
    # The sender stands between two requests: a child inherits no lock of the library.
    assert engine._is_paused
    assert engine.stats().buffered == 1
    engine.resume_after_fork()
    assert engine.flush(timeout_seconds=30)
    stats = engine.stats()
    assert (stats.accepted, stats.retries, answering.requests) == (1, 1, 2)
    engine.stop()


def test_a_thread_that_cannot_be_had_is_asked_for_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    transport = OneSurprise()
    transport.requests = 1
    engine = _engine(transport)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        engine.add(_event("a"))
    assert "could not be started" in caplog.text
    engine.add(_event("b"))
    assert engine.flush(timeout_seconds=10)
    assert engine.stats().accepted == 2
    engine.stop()


def test_a_child_starts_afresh() -> None:
    engine = _engine(OneSurprise())
    engine.buffer.add(_event("of the parent"))
    engine.reset_after_fork()
    assert engine.stats().recorded == 0
