"""Meter against a real gRPC server: durable, exact, and never in its caller's way."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import grpc
import pytest

from metering import Meter, MeterOptions, ValidationError
from metering.testing import FakeAgent

FAST = MeterOptions(backoff_initial_seconds=0.01, backoff_max_seconds=0.05)
LONGER_THAN_A_TEST_SECONDS = 3_600.0
"""Whoever waits for it fails by the test's own time-out, on a machine of any speed."""


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    with FakeAgent() as running:
        yield running


@pytest.fixture
def meter(agent: FakeAgent) -> Iterator[Meter]:
    with Meter(agent.address, options=FAST) as running:
        yield running


def test_a_flush_means_that_the_agent_has_everything(agent: FakeAgent, meter: Meter) -> None:
    ids = [meter.record(customer="acme", quantities={"requests": 1}) for _ in range(2_500)]
    assert meter.flush(timeout=10)
    assert [event.event_id for event in agent.events] == ids
    assert meter.stats().accepted == 2_500


def test_what_is_recorded_arrives_without_a_flush(agent: FakeAgent, meter: Meter) -> None:
    meter.record(customer="acme", quantities={"requests": 1})
    assert agent.wait_for_event_count(1)


def test_an_event_arrives_as_it_was_recorded(agent: FakeAgent, meter: Meter) -> None:
    moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    known_id = meter.record(
        customer="acme",
        quantities={"input_tokens": 1200, "gpu_seconds": Decimal("0.35"), "cost": "1.5"},
        dimensions={"model": "large"},
        event_id="call-7",
        event_time=moment,
    )
    assert known_id == "call-7"
    assert meter.flush(timeout=10)
    (event,) = agent.events
    assert (event.event_id, event.customer_id) == ("call-7", "acme")
    assert dict(event.quantities) == {"input_tokens": "1200", "gpu_seconds": "0.35", "cost": "1.5"}
    assert dict(event.dimensions) == {"model": "large"}
    assert event.event_time.ToDatetime(tzinfo=UTC) == moment


def test_the_time_of_use_is_when_it_was_recorded_and_not_when_it_was_sent(
    agent: FakeAgent, meter: Meter
) -> None:
    agent.fail_always()
    before = datetime.now(UTC)
    meter.record(customer="acme", quantities={"requests": 1})
    after = datetime.now(UTC)
    assert agent.wait_for_request_count(5)
    agent.recover()
    assert meter.flush(timeout=10)
    sent = agent.events[0].event_time.ToDatetime(tzinfo=UTC)
    assert before.replace(microsecond=0) <= sent <= after


def test_ids_are_time_ordered_and_differ(agent: FakeAgent, meter: Meter) -> None:
    ids = [meter.record(customer="acme", quantities={"requests": 1}) for _ in range(1_000)]
    assert ids == sorted(set(ids))


def test_changing_the_dicts_after_recording_changes_nothing(agent: FakeAgent, meter: Meter) -> None:
    quantities, dimensions = {"requests": 1}, {"model": "a"}
    meter.record(customer="acme", quantities=quantities, dimensions=dimensions)
    quantities["requests"], dimensions["model"] = 99, "b"
    assert meter.flush(timeout=10)
    (event,) = agent.events
    assert (dict(event.quantities), dict(event.dimensions)) == ({"requests": "1"}, {"model": "a"})


def test_a_use_that_only_has_dimensions_is_recorded(agent: FakeAgent, meter: Meter) -> None:
    """A unique count of users needs no quantity."""
    meter.record(customer="acme", dimensions={"user": "u1"})
    assert meter.flush(timeout=10)
    (event,) = agent.events
    assert (dict(event.quantities), dict(event.dimensions)) == ({}, {"user": "u1"})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"quantities": {"tokens": 1.5}}, "QUANTITY_FLOAT"),
        ({"quantities": {"tokens": -1}}, "QUANTITY_NEGATIVE"),
        ({"quantities": {}}, "QUANTITIES_MISSING"),
        ({"customer": ""}, "CUSTOMER_ID_MALFORMED"),
        ({"dimensions": {"shard": 5}}, "DIMENSION_MALFORMED"),
        ({"event_time": datetime(2026, 3, 1)}, "EVENT_TIME_NAIVE"),  # noqa: DTZ001 - what is refused
    ],
)
def test_an_argument_of_the_wrong_kind_is_raised_at_once_and_not_counted(
    meter: Meter, arguments: dict[str, object], reason: str
) -> None:
    good: dict[str, object] = {"customer": "acme", "quantities": {"requests": 1}}
    with pytest.raises(ValidationError) as caught:
        meter.record(**(good | arguments))  # type: ignore[arg-type]
    assert caught.value.reason == reason
    assert meter.stats().recorded == 0


def test_an_absent_agent_neither_raises_nor_blocks() -> None:
    meter = Meter("127.0.0.1:1", options=FAST)
    # Where one of them waited for a request's time-out, the test's own would pass.
    for _ in range(1_000):
        meter.record(customer="acme", quantities={"requests": 1})
    assert not meter.flush(timeout=0.2)
    _wait_until(lambda: meter.stats().retries >= 1)
    stats = meter.stats()
    assert (stats.buffered, stats.accepted, stats.dropped) == (1_000, 0, 0)
    assert "UNAVAILABLE" in stats.last_error
    assert not meter.close(timeout=0)
    assert meter.stats().dropped == 1_000


def test_a_full_buffer_drops_the_newest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    options = MeterOptions(buffer_event_count_max=10, backoff_initial_seconds=0.01)
    meter = Meter("127.0.0.1:1", options=options)
    for _ in range(25):
        meter.record(customer="acme", quantities={"requests": 1})
    meter.flush(timeout=0.3)
    assert "the buffer is full (10 events)" in caplog.text
    assert (meter.stats().buffered, meter.stats().dropped) == (10, 15)
    meter.close(timeout=0)


def test_an_agent_that_restarts_is_invisible_to_the_caller() -> None:
    agent = FakeAgent().start()
    with Meter(agent.address, options=FAST) as meter:
        ids = []
        for round_number in range(3):
            for _ in range(50):
                ids.append(meter.record(customer="acme", quantities={"requests": 1}))
            if round_number < 2:
                agent.stop()
                ids.append(meter.record(customer="acme", quantities={"requests": 1}))
                agent.start()
        assert meter.flush(timeout=20)
        assert meter.stats().dropped == 0
    agent.stop()
    assert {event_id for _, event_id in agent.counted_events} == set(ids)


def test_a_lost_answer_sends_the_same_ids_again(agent: FakeAgent, meter: Meter) -> None:
    agent.lose_answers(2)
    known_id = meter.record(customer="acme", quantities={"requests": 1})
    assert meter.flush(timeout=10)
    assert [event.event_id for event in agent.events] == [known_id] * 3
    assert len(agent.counted_events) == 1
    assert (meter.stats().accepted, meter.stats().retries) == (1, 2)


def test_what_the_agent_rejects_is_counted_with_its_reason(agent: FakeAgent, meter: Meter) -> None:
    agent.reject_where(
        lambda event: ("EVENT_TIME_TOO_OLD", "too old") if event.event_id == "old" else None
    )
    for name in ("old", "new"):
        meter.record(customer="acme", quantities={"requests": 1}, event_id=name)
    assert meter.flush(timeout=10)
    stats = meter.stats()
    assert (stats.accepted, stats.rejected) == (1, 1)
    assert stats.last_error == "EVENT_TIME_TOO_OLD: too old"


def test_one_event_that_spoils_its_request_does_not_spoil_the_others(
    agent: FakeAgent, meter: Meter
) -> None:
    agent.fail_where(
        lambda request: (
            grpc.StatusCode.INVALID_ARGUMENT
            if any(event.event_id == "poison" for event in request.events)
            else None
        )
    )
    names = [str(number) for number in range(100)]
    for name in [*names[:37], "poison", *names[37:]]:
        meter.record(customer="acme", quantities={"requests": 1}, event_id=name)
    assert meter.flush(timeout=10)
    assert [event.event_id for event in agent.events] == names
    assert (meter.stats().accepted, meter.stats().rejected) == (100, 1)


def test_many_threads_share_a_meter(agent: FakeAgent, meter: Meter) -> None:
    def work() -> None:
        for _ in range(300):
            meter.record(customer="acme", quantities={"requests": 1})

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.flush(timeout=10)
    assert len(agent.counted_events) == 1_800


def test_closing_flushes(agent: FakeAgent) -> None:
    with Meter(agent.address) as meter:
        meter.record(customer="acme", quantities={"requests": 1})
    assert len(agent.events) == 1
    assert meter.close()


def test_closing_without_an_agent_is_bounded_and_loud(caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter("127.0.0.1:1", options=FAST)
    meter.record(customer="acme", quantities={"requests": 1})
    # Without a bound it would try for ever.
    assert not meter.close(timeout=0.2)
    assert "1 usage events are lost" in caplog.text
    assert meter.stats().dropped == 1


def test_closing_does_not_wait_for_a_request_that_hangs(agent: FakeAgent) -> None:
    agent.delay(LONGER_THAN_A_TEST_SECONDS)
    options = MeterOptions(request_timeout_seconds=LONGER_THAN_A_TEST_SECONDS)
    meter = Meter(agent.address, options=options)
    meter.record(customer="acme", quantities={"requests": 1})
    assert not meter.close(timeout=0.2)


def test_recording_after_the_end_is_dropped_and_counted(
    agent: FakeAgent, caplog: pytest.LogCaptureFixture
) -> None:
    meter = Meter(agent.address)
    meter.close()
    for _ in range(3):
        assert meter.record(customer="acme", quantities={"requests": 1})
    assert meter.stats().dropped == 3
    assert caplog.text.count("after the meter was closed") == 1


def test_a_meter_that_records_nothing_starts_nothing() -> None:
    # Threads themselves, not their number: one of an earlier test may end meanwhile.
    before = set(threading.enumerate())
    with Meter("127.0.0.1:1") as meter:
        assert meter.flush(timeout=0)
        assert set(threading.enumerate()) <= before


def test_the_sender_wakes_up_after_a_quiet_time(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.client.engine.QUIET_SECONDS", 0.0)
    with Meter(agent.address) as meter:
        for count in range(1, 6):
            meter.record(customer="acme", quantities={"requests": 1})
            assert agent.wait_for_event_count(count)
            _wait_until(lambda: meter._engine._is_asleep)


def _wait_until(is_met: Callable[[], bool]) -> None:
    for _ in range(4_000):
        if is_met():
            return
        threading.Event().wait(0.005)
    pytest.fail("it was not so in time")


def test_the_sdk_needs_grpc_and_protobuf_only() -> None:
    code = (
        "import sys\n"
        "from metering import AsyncMeter, Meter\n"
        "meter = Meter('127.0.0.1:1')\n"
        "foreign = {'typer', 'rich', 'click', 'iso4217', 'structlog', 'sqlalchemy', 'sqlite_utils',"
        " 'tenacity', 'pydantic', 'yaml', 'httpx', 'prometheus_client', 'grpc_status',"
        " 'google.rpc'} & set(sys.modules)\n"
        "sys.exit(f'imported {foreign}' if foreign else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_kernel_imports_no_grpc() -> None:
    code = "import sys, metering, metering.errors, metering.ids\nsys.exit('grpc' in sys.modules)\n"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
