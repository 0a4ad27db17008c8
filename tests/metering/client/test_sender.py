"""The sender's steps, played against a scripted transport: no threads, no sleeps, no network."""

import logging
from collections.abc import Callable
from decimal import Decimal

import pytest

from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.client.buffer import EventBuffer
from metering.client.delivery import Failure, FailureKind, Rejection
from metering.client.event import EventFrame, RecordedEvent, Refusal, frame_from_event
from metering.client.options import MeterOptions
from metering.client.sender import Sender
from metering.client.transport import TransportError

AWAY = Failure(kind=FailureKind.TRANSIENT, code="UNAVAILABLE", message="away")
REFUSED = Failure(kind=FailureKind.REFUSED, code="INVALID_ARGUMENT", message="bad")
INTERNAL = Failure(kind=FailureKind.INTERNAL, code="INTERNAL", message="bug")

Answer = Failure | tuple[Rejection, ...]


class ScriptedTransport:
    """Answers from a list, then accepts everything."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.requests: list[list[str]] = []
        self.payloads: list[bytes] = []
        self.is_closed = False

    def record_usage(self, request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        assert timeout_seconds == 10.0
        self.payloads.append(request)
        events = RecordUsageRequest.FromString(request).events
        self.requests.append([event.event_id for event in events])
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, Failure):
            raise TransportError(answer)
        return answer

    def close(self) -> None:
        self.is_closed = True


class World:
    """A sender with everything around it handed in."""

    def __init__(
        self, answers: list[Answer] | None = None, *, options: MeterOptions | None = None
    ) -> None:
        self.options = options or MeterOptions()
        self.buffer = EventBuffer(capacity=self.options.buffer_event_count_max)
        self.transport = ScriptedTransport(answers or [])
        self.now = 0.0
        self.turns = 0
        self.sender = Sender(
            buffer=self.buffer,
            connect=lambda: self.transport,
            options=self.options,
            random=lambda: 0.5,
            monotonic=lambda: self.now,
            give_turn=self._count_turn,
        )

    def record(self, *names: str, quantity: object = 1) -> None:
        for name in names:
            self.buffer.add(RecordedEvent(name, "acme", {"requests": quantity}, None, 0))  # type: ignore[dict-item]

    def run(self, *, step_count_max: int = 100) -> None:
        for _ in range(step_count_max):
            self.sender.step()
            if not self.buffer.buffered:
                return
        pytest.fail("the buffer is not settled")

    def _count_turn(self) -> None:
        self.turns += 1


def test_an_idle_sender_lingers_and_connects_to_nothing() -> None:
    world = World()
    assert world.sender.step() == world.options.linger_seconds
    assert world.transport.requests == []


def test_events_that_wait_together_share_a_request() -> None:
    world = World()
    world.record("a", "b", "c")
    assert world.sender.step() == world.options.linger_seconds
    assert world.transport.requests == [["a", "b", "c"]]
    assert world.buffer.stats().accepted == 3


def test_a_full_batch_is_followed_by_the_next_without_a_pause() -> None:
    world = World(options=MeterOptions(batch_event_count_max=2))
    world.record("a", "b", "c", "d", "e")
    assert [world.sender.step() for _ in range(3)] == [0.0, 0.01, 0.01]
    assert world.transport.requests == [["a", "b"], ["c", "d"], ["e"]]


def test_a_flush_is_not_kept_waiting_by_the_linger() -> None:
    world = World(options=MeterOptions(batch_event_count_max=2))
    world.record("a", "b", "c")
    world.buffer.when_settled(lambda: None)
    assert world.sender.step() == 0.0


def test_r15_an_absent_agent_gets_the_same_bytes_again_after_a_growing_pause() -> None:
    world = World([AWAY, AWAY, AWAY])
    world.record("a")
    # Half of 0.1, 0.2 and 0.4 seconds: the random draw is 0.5.
    assert [world.sender.step() for _ in range(3)] == [0.05, 0.1, 0.2]
    assert world.buffer.stats().buffered == 1
    world.run()
    assert len(set(world.transport.payloads)) == 1
    stats = world.buffer.stats()
    assert (stats.accepted, stats.retries, stats.last_error) == (1, 3, "UNAVAILABLE: away")


def test_events_recorded_during_an_outage_wait_behind_the_first_request() -> None:
    world = World([AWAY])
    world.record("a")
    world.sender.step()
    world.record("b")
    world.run()
    assert world.transport.requests == [["a"], ["a"], ["b"]]


def test_a_rejected_event_is_counted_logged_and_never_sent_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusal = Refusal(reason="EVENT_TIME_TOO_OLD", message="older than 35 days")
    world = World([(Rejection(index=1, refusal=refusal),)])
    world.record("a", "b", "c")
    world.run()
    stats = world.buffer.stats()
    assert (stats.accepted, stats.rejected, len(world.transport.requests)) == (2, 1, 1)
    assert stats.last_error == "EVENT_TIME_TOO_OLD: older than 35 days"
    assert "usage event b of customer acme was refused" in caplog.text


def test_a_refused_request_is_halved_at_once_until_the_culprit_is_out() -> None:
    world = World([REFUSED, REFUSED])
    world.record("bad", "b", "c", "d")
    # [bad b c d] is refused, [bad b] is refused; [bad] is now asked for and refused, too.
    world.transport.answers.append(REFUSED)
    assert world.sender.step() == 0.0
    world.run()
    assert world.transport.requests == [
        ["bad", "b", "c", "d"],
        ["bad", "b"],
        ["bad"],
        ["b"],
        ["c", "d"],
    ]
    stats = world.buffer.stats()
    assert (stats.accepted, stats.rejected) == (3, 1)
    assert stats.last_error == "REQUEST_INVALID_ARGUMENT: " + (
        "The agent refuses every request with this event: bad"
    )


def test_an_internal_error_of_the_agent_is_waited_out_and_loses_nothing() -> None:
    world = World([INTERNAL] * 50)
    world.record("a")
    pauses = [world.sender.step() for _ in range(50)]
    assert min(pauses) > 0
    assert max(pauses) == 1.0  # Half of the bound of 2 seconds: the random draw is 0.5.
    assert world.buffer.stats().buffered == 1
    world.run()
    stats = world.buffer.stats()
    assert (stats.accepted, stats.rejected, stats.retries) == (1, 0, 50)


def test_an_event_that_makes_the_agent_fail_holds_up_no_other() -> None:
    world = World()
    fine = world.transport.record_usage

    def fail_for_bad(request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        fine(request, timeout_seconds=timeout_seconds)
        if "bad" in world.transport.requests[-1]:
            raise TransportError(INTERNAL)
        return ()

    world.transport.record_usage = fail_for_bad  # type: ignore[method-assign]
    world.record("bad")
    for number in range(9):
        world.record(str(number))
        for _ in range(6):
            world.sender.step()
        assert world.buffer.stats().accepted == number + 1
    stats = world.buffer.stats()
    assert (stats.rejected, stats.buffered) == (1, 0)
    assert stats.last_error.startswith("REQUEST_INTERNAL")


def test_an_event_that_cannot_be_written_is_rejected_without_a_request() -> None:
    world = World()
    world.record("bad", quantity=Decimal("NaN"))
    world.record("good")
    world.run()
    assert world.transport.requests == [["good"]]
    stats = world.buffer.stats()
    assert (stats.accepted, stats.rejected) == (1, 1)


def test_a_batch_is_cut_at_its_bound_of_bytes() -> None:
    frame = frame_from_event(RecordedEvent("a", "acme", {"requests": 1}, None, 0))
    assert isinstance(frame, EventFrame)
    size = len(frame.payload)
    world = World(options=MeterOptions(batch_bytes_max=2 * size))
    world.record("a", "b", "c")
    world.run()
    assert [len(payload) for payload in world.transport.payloads] == [2 * size, size]


def test_callers_get_their_turn_while_a_batch_is_serialized() -> None:
    world = World()
    world.record(*(str(number) for number in range(100)))
    world.sender.step()
    # One turn after each 32 of the 100 events.
    assert world.turns == 3


def test_an_outage_is_logged_once_an_interval_and_its_end_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "metering.client")
    world = World([AWAY] * 4)
    world.record("a")
    for now in (0.0, 1.0, 9.9, 10.0, 11.0):
        world.now = now
        world.sender.step()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "the agent did not take a request, trying again: UNAVAILABLE: away (1 events are buffered)",
        "the agent did not take a request, trying again: UNAVAILABLE: away (1 events are buffered)",
        "the agent answers again after failed requests",
    ]


def test_drops_are_logged_once_an_interval_with_their_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([AWAY] * 3, options=MeterOptions(buffer_event_count_max=1))
    world.record("a", "b", "c")
    world.sender.step()
    world.record("d")
    world.sender.step()
    world.now = 10.0
    world.sender.step()
    counts = [record.args for record in caplog.records if "dropped" in record.getMessage()]
    # 2 of the first 3 were dropped; the third drop is told 10 seconds later.
    assert counts == [(1, 2, 2), (1, 1, 3)]


def test_many_refusals_are_summed_up_instead_of_flooding_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.record(*(str(number) for number in range(50)), quantity=Decimal("NaN"))
    world.sender.step()
    each = [record for record in caplog.records if "was refused" in record.getMessage()]
    assert len(each) == 20
    world.now = 9.9
    world.sender.step()
    assert "more usage events" not in caplog.text
    world.now = 10.0
    world.sender.step()
    assert "30 more usage events were refused" in caplog.text
    assert world.buffer.stats().rejected == 50


def test_closing_closes_the_connection_that_there_is() -> None:
    world = World()
    world.sender.close()
    assert not world.transport.is_closed
    world.record("a")
    world.run()
    world.sender.close()
    assert world.transport.is_closed


def test_the_connection_is_made_once() -> None:
    made: list[int] = []
    transport = ScriptedTransport([])
    buffer = EventBuffer(capacity=10)

    def connect() -> ScriptedTransport:
        made.append(1)
        return transport

    sender = Sender(
        buffer=buffer,
        connect=connect,
        options=MeterOptions(),
        random=lambda: 0.0,
        monotonic=lambda: 0.0,
    )
    for name in ("a", "b"):
        buffer.add(RecordedEvent(name, "acme", {"requests": 1}, None, 0))
        sender.step()
    assert made == [1]


def test_reconnecting_after_a_failed_connection_loses_nothing() -> None:
    attempts: list[Callable[[], ScriptedTransport]] = []
    buffer = EventBuffer(capacity=10)
    transport = ScriptedTransport([])

    def connect() -> ScriptedTransport:
        attempts.append(connect)
        if len(attempts) == 1:
            raise OSError("no file descriptors")
        return transport

    sender = Sender(
        buffer=buffer,
        connect=connect,
        options=MeterOptions(),
        random=lambda: 0.0,
        monotonic=lambda: 0.0,
    )
    buffer.add(RecordedEvent("a", "acme", {"requests": 1}, None, 0))
    with pytest.raises(OSError, match="no file descriptors"):
        sender.step()
    sender.step()
    assert transport.requests == [["a"]]
