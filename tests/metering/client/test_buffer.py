"""The buffer: bounded, first in first out, and every event in exactly one count."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from metering.client.buffer import EventBuffer
from metering.client.event import RecordedEvent


def _event(name: object) -> RecordedEvent:
    return RecordedEvent(str(name), "acme", {"requests": 1}, None, 0)


def _filled(count: int, *, capacity: int = 100) -> EventBuffer:
    buffer = EventBuffer(capacity=capacity)
    for number in range(count):
        buffer.add(_event(number))
    return buffer


def test_events_are_taken_in_order() -> None:
    buffer = _filled(5)
    assert [event.event_id for event in buffer.take(3)] == ["0", "1", "2"]
    assert [event.event_id for event in buffer.take(3)] == ["3", "4"]
    assert buffer.take(3) == []


def test_what_passes_the_bound_is_dropped_and_counted() -> None:
    buffer = _filled(7, capacity=5)
    stats = buffer.stats()
    assert (stats.recorded, stats.buffered, stats.dropped) == (7, 5, 2)
    # The oldest are kept.
    assert [event.event_id for event in buffer.take(10)] == ["0", "1", "2", "3", "4"]


def test_an_event_in_flight_still_takes_its_room() -> None:
    buffer = _filled(5, capacity=5)
    buffer.take(5)
    buffer.add(_event("late"))
    assert buffer.dropped == 1
    buffer.settle(accepted=1, rejected=0)
    buffer.add(_event("later"))
    assert (buffer.dropped, buffer.buffered) == (1, 5)


def test_whoever_waits_is_called_once_everything_before_is_settled() -> None:
    buffer = _filled(4)
    calls: list[str] = []
    buffer.take(2)
    buffer.when_settled(lambda: calls.append("settled"))
    buffer.add(_event("after"))
    assert buffer.is_awaited
    buffer.settle(accepted=2, rejected=0)
    assert calls == []
    buffer.take(2)
    buffer.settle(accepted=1, rejected=0)
    assert calls == []
    buffer.settle(accepted=0, rejected=1)
    assert calls == ["settled"]
    assert not buffer.is_awaited
    assert buffer.buffered == 1


def test_a_waiter_is_called_only_when_its_whole_batch_is_settled() -> None:
    buffer = _filled(1)
    calls: list[str] = []
    buffer.when_settled(lambda: calls.append("settled"))
    buffer.add(_event("same batch, later"))
    buffer.take(2)
    buffer.settle(accepted=0, rejected=1)
    assert calls == []
    buffer.settle(accepted=1, rejected=0)
    assert calls == ["settled"]


def test_nobody_waits_for_an_empty_buffer() -> None:
    calls: list[str] = []
    EventBuffer(capacity=1).when_settled(lambda: calls.append("settled"))
    assert calls == ["settled"]


def test_a_waiter_that_was_forgotten_is_not_called() -> None:
    buffer = _filled(1)
    event = threading.Event()
    buffer.when_settled(event.set)
    buffer.forget_waiter(event.set)
    buffer.take(1)
    buffer.settle(accepted=1, rejected=0)
    assert not event.is_set()


def test_abandoning_counts_everything_as_dropped_and_nothing_settles_after() -> None:
    buffer = _filled(3)
    buffer.take(2)
    assert buffer.abandon() == 3
    buffer.settle(accepted=2, rejected=0)
    stats = buffer.stats()
    assert (stats.recorded, stats.dropped, stats.accepted, stats.buffered) == (3, 3, 0, 0)


def test_retries_and_the_last_error_are_kept() -> None:
    buffer = EventBuffer(capacity=1)
    buffer.count_retry(error="UNAVAILABLE: away")
    buffer.note_error("QUANTITY_NEGATIVE: no")
    stats = buffer.stats()
    assert (stats.retries, stats.last_error) == (1, "QUANTITY_NEGATIVE: no")


def test_threads_lose_no_event_between_them() -> None:
    buffer = EventBuffer(capacity=10_000)
    threads = [
        threading.Thread(target=lambda: [buffer.add(_event("x")) for _ in range(1_000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += len(buffer.take(64))
    for thread in threads:
        thread.join()
    taken += len(buffer.take(10_000))
    assert (taken, buffer.stats().recorded) == (8_000, 8_000)


STEPS = st.lists(
    st.one_of(
        st.just("add"),
        st.integers(1, 4).map(lambda count: ("take", count)),
        st.tuples(st.just("settle"), st.integers(0, 3), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(steps=STEPS, capacity=st.integers(1, 8))
def test_every_event_is_in_exactly_one_count_at_every_moment(
    steps: list[object], capacity: int
) -> None:
    buffer = EventBuffer(capacity=capacity)
    recorded = in_flight = 0
    for step in steps:
        if step == "add":
            buffer.add(_event(recorded))
            recorded += 1
        elif isinstance(step, tuple) and step[0] == "take":
            in_flight += len(buffer.take(step[1]))
        elif isinstance(step, tuple):
            accepted = min(step[1], in_flight)
            rejected = min(step[2], in_flight - accepted)
            buffer.settle(accepted=accepted, rejected=rejected)
            in_flight -= accepted + rejected
        stats = buffer.stats()
        assert stats.recorded == recorded
        assert stats.accepted + stats.rejected + stats.dropped + stats.buffered == recorded
        assert stats.buffered <= capacity
