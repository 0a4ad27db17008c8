"""What reservations run on: ends that wait, renewals that end, fork, exit."""

import gc
import os
import subprocess
import sys
import threading

import pytest

from metering import Meter
from metering.api.v1.agent_pb2 import (
    ExtendReservationRequest,
    ExtendReservationResponse,
    ReleaseReservationRequest,
    ReserveQuotaRequest,
    SettleReservationRequest,
    SettleReservationResponse,
)
from metering.client.options import MeterOptions
from metering.client.quota_engine import QuotaEngine
from metering.client.quota_transport import (
    AgentAwayError,
    DoneCall,
    QuotaCall,
    QuotaRequest,
    QuotaResponse,
    QuotaTransport,
)
from metering.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidStateError,
    MeteringError,
    NotFoundError,
    QuotaExceededError,
)
from metering.testing import FakeAgent

FAST = MeterOptions(backoff_initial_seconds=0.001, backoff_max_seconds=0.01, settlement_count_max=2)
AWAY = AgentAwayError(reason="RPC_UNAVAILABLE", message="refused")


class Wire:
    """A transport that fails as it is told, once for each error, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.requests: list[QuotaRequest] = []
        self.is_closed = False
        self.is_away = False
        self.answered = threading.Semaphore(0)

    def call(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        self.requests.append(request)
        if self.is_away:
            raise AWAY
        if self.errors:
            raise self.errors.pop(0)
        self.answered.release()
        if isinstance(request, ExtendReservationRequest):
            return ExtendReservationResponse()
        return SettleReservationResponse()

    def begin(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaCall:
        self.requests.append(request)
        raise NotImplementedError

    def close(self) -> None:
        self.is_closed = True


class Held:
    """A reservation that is due at once."""

    def __init__(self) -> None:
        self.renewal_seconds = 0.001
        self.is_open = True

    def renewal(self) -> ExtendReservationRequest | None:
        return ExtendReservationRequest(reservation_id="r-1") if self.is_open else None


def engine_on(wire: Wire) -> QuotaEngine:
    return QuotaEngine("127.0.0.1:1", options=FAST, connect=lambda _: wire)


def settle(name: str = "r-1") -> SettleReservationRequest:
    return SettleReservationRequest(reservation_id=name, customer_id="acme")


def test_a_call_that_met_no_agent_is_tried_once_more() -> None:
    wire = Wire(AWAY)
    engine = engine_on(wire)
    engine.call(settle(), timeout_seconds=5)
    assert len(wire.requests) == 2
    wire.errors = [AWAY, AWAY]
    with pytest.raises(AgentAwayError):
        engine.call(settle(), timeout_seconds=5)
    wire.errors = [AWAY]
    with pytest.raises(AgentAwayError):
        engine.call(settle(), timeout_seconds=0.01)
    engine.stop()


def test_an_end_that_waits_is_sent_until_an_agent_answers() -> None:
    wire = Wire(AWAY, AWAY, AWAY)
    engine = engine_on(wire)
    engine.end_later(settle())
    assert engine.flush(timeout_seconds=10)
    assert (len(wire.requests), engine.waiting, engine.lost) == (4, 0, 0)
    engine.stop()


def test_an_end_that_the_agent_refuses_is_logged_and_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire(AlreadyExistsError(reason="RESERVATION_ENDED", message="other numbers"))
    engine = engine_on(wire)
    engine.end_later(settle())
    assert engine.flush(timeout_seconds=10)
    assert "RESERVATION_ENDED: other numbers" in caplog.text
    engine.stop()


FULL = QuotaExceededError(reason="BUFFER_FULL", message="95 %")
RACED = ConflictError(reason="VERSION_CHANGED", message="again")


@pytest.mark.parametrize("refusal", [FULL, RACED])
def test_an_end_that_the_agent_cannot_take_now_waits_behind_the_others(
    refusal: MeteringError, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(AWAY, refusal, refusal)
    engine = engine_on(wire)
    engine.end_later(settle("r-1"))
    engine.end_later(settle("r-2"))
    assert engine.flush(timeout_seconds=10)
    sent = [item.reservation_id for item in wire.requests]
    assert sent == ["r-1", "r-1", "r-2", "r-1", "r-2"]
    assert (engine.waiting, engine.lost) == (0, 0)
    assert f"it waits: {refusal.reason}" in caplog.text
    engine.stop()


@pytest.mark.parametrize("way", ["call", "begin"])
def test_an_id_is_not_reserved_again_while_its_end_waits_for_the_agent(way: str) -> None:
    wire, again = Wire(), ReserveQuotaRequest(reservation_id="r-1", customer_id="acme")
    wire.is_away = True
    engine = engine_on(wire)
    engine.end_later(ReleaseReservationRequest(reservation_id="r-1", customer_id="acme"))
    for _ in range(200):  # Also while it is being sent.
        with pytest.raises(InvalidStateError) as caught:
            getattr(engine, way)(again, timeout_seconds=1)
        assert caught.value.reason == "RESERVATION_ENDED"
    assert again not in wire.requests
    wire.is_away = False
    assert engine.flush(timeout_seconds=10)
    if way == "call":
        engine.call(again, timeout_seconds=1)  # The agent has heard of it, and decides.
        assert wire.requests[-1] == again
    engine.stop()


def test_an_end_that_met_an_unforeseen_exception_is_sent_again() -> None:
    wire = Wire(RuntimeError("unforeseen"))
    engine = engine_on(wire)
    engine.end_later(settle())
    assert engine.flush(timeout_seconds=10)
    assert (len(wire.requests), engine.waiting, engine.lost) == (2, 0, 0)
    engine.stop()


def test_more_ends_than_may_wait_are_lost_loudly(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    wire.is_away = True
    engine = engine_on(wire)
    for number in range(4):
        engine.end_later(settle(f"r-{number}"))
    assert engine.lost >= 1
    assert not engine.flush(timeout_seconds=0.01)
    engine.stop()
    engine.stop()
    engine.end_later(settle("late"))
    assert engine.lost == 5
    assert "reservation late of customer acme" in caplog.text
    assert wire.is_closed


def test_a_reservation_is_renewed_until_it_ends() -> None:
    wire, held = Wire(), Held()
    engine = engine_on(wire)
    engine.renew(held)
    for _ in range(3):
        assert wire.answered.acquire(timeout=10)
    held.is_open = False
    engine.end_later(settle())
    assert engine.flush(timeout_seconds=10)
    engine.stop()


def test_a_renewal_goes_on_past_an_absent_agent_and_ends_with_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = NotFoundError(reason="RESERVATION_UNKNOWN", message="expired")
    wire, held = Wire(AWAY, gone), Held()
    engine = engine_on(wire)
    engine.renew(held)
    end = threading.Event()
    for _ in range(1_000):
        if "cannot be renewed" in caplog.text:
            break
        end.wait(0.01)
    assert "cannot be renewed and will end by itself: RESERVATION_UNKNOWN" in caplog.text
    assert len(wire.requests) == 2
    engine.stop()


def test_a_reservation_that_nobody_holds_is_not_renewed() -> None:
    wire = Wire()
    engine = engine_on(wire)
    held = Held()
    held.renewal_seconds = 0.05
    engine.renew(held)
    del held
    gc.collect()
    engine.end_later(settle())
    assert engine.flush(timeout_seconds=10)
    assert [type(request) for request in wire.requests] == [SettleReservationRequest]
    engine.stop()


def test_an_unforeseen_exception_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(RuntimeError("surprise"))
    engine = engine_on(wire)
    held = Held()
    engine.renew(held)
    assert wire.answered.acquire(timeout=10)
    assert "going on" in caplog.text
    engine.stop()


class HangingUntilClosed:
    """A transport to an agent that never answers."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.is_over = threading.Event()
        self._when_done: list[DoneCall] = []

    def call(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        self.is_asked.set()
        assert self.is_over.wait(30)
        raise AWAY

    def begin(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaCall:
        return self

    def result(self) -> QuotaResponse:
        raise AWAY

    def cancel(self) -> None:
        raise AssertionError

    def when_done(self, call: DoneCall) -> None:
        self._when_done.append(call)

    def close(self) -> None:
        self.is_over.set()
        for call in self._when_done:
            call()


def test_a_fork_cuts_a_call_that_hangs_and_the_call_is_tried_again() -> None:
    hanging, answering = HangingUntilClosed(), Wire()
    wires: list[QuotaTransport] = [hanging, answering]
    engine = QuotaEngine("127.0.0.1:1", options=FAST, connect=lambda _: wires.pop(0))
    calling = threading.Thread(target=lambda: engine.call(settle(), timeout_seconds=30))
    calling.start()
    assert hanging.is_asked.wait(30)
    engine.pause_for_fork(timeout_seconds=0.01)
    assert hanging.is_over.is_set()
    assert answering.requests == []  # Nothing is inside gRPC while the process forks.
    engine.resume_after_fork()
    calling.join(30)
    assert answering.requests == [settle()]
    engine.stop()


def test_a_fork_cuts_a_call_that_was_begun_and_waits_for_its_end() -> None:
    hanging, answering = HangingUntilClosed(), Wire()
    wires: list[QuotaTransport] = [hanging, answering]
    engine = QuotaEngine("127.0.0.1:1", options=FAST, connect=lambda _: wires.pop(0))
    engine.begin(settle(), timeout_seconds=30)
    engine.pause_for_fork(timeout_seconds=0.01)
    assert hanging.is_over.is_set()
    engine.resume_after_fork()
    # Whoever waits for it tries again over a connection of its own.
    engine.call(settle(), timeout_seconds=5)
    assert answering.requests == [settle()]
    engine.stop()


def test_a_fork_leaves_the_connection_alone_where_no_call_hangs() -> None:
    wire = Wire()
    engine = engine_on(wire)
    engine.call(settle(), timeout_seconds=5)
    with pytest.raises(NotImplementedError):
        engine.begin(settle(), timeout_seconds=5)
    engine.pause_for_fork(timeout_seconds=5)
    engine.resume_after_fork()
    assert not wire.is_closed
    engine.stop()


def test_a_forked_child_settles_over_a_connection_of_its_own() -> None:
    code = (
        "import os, sys\n"
        "from metering import Meter, MeterOptions\n"
        "meter = Meter(sys.argv[1], options=MeterOptions(quota_timeout_seconds=20.0))\n"
        "r = meter.reserve(customer='acme', quantities={'tokens': 1}, reservation_id='parent')\n"
        "r.__enter__()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    with meter.reserve(\n"
        "        customer='acme', quantities={'tokens': 1}, reservation_id='child'\n"
        "    ) as own:\n"
        "        own.settle({'tokens': 1})\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "r.settle({'tokens': 1})\n"
    )
    with FakeAgent() as agent:
        done = subprocess.run(
            [sys.executable, "-c", code, agent.address], timeout=50, check=False, env=os.environ
        )
        assert done.returncode == 0
        assert set(agent.reservations) == {"parent", "child"}
        assert all(item.end is not None for item in agent.reservations.values())


def test_the_end_of_the_process_sends_what_waits() -> None:
    code = (
        "import sys\n"
        "from metering import Meter, MeterOptions\n"
        "options = MeterOptions(quota_timeout_seconds=20.0, exit_timeout_seconds=20.0)\n"
        "meter = Meter(sys.argv[1], options=options)\n"
        "try:\n"
        "    with meter.reserve(\n"
        "        customer='acme', quantities={'tokens': 9}, reservation_id='r'\n"
        "    ) as r:\n"
        "        r.use({'tokens': 4})\n"
        "        sys.exit(0)\n"
        "finally:\n"
        "    pass\n"
    )
    with FakeAgent() as agent:
        subprocess.run([sys.executable, "-c", code, agent.address], timeout=50, check=True)
        assert [dict(event.quantities) for event in agent.events] == [{"tokens": "4"}]


def test_threads_share_one_meter() -> None:
    # Eight threads and the agent share one interpreter: each call may take a while.
    options = MeterOptions(quota_timeout_seconds=30)
    with FakeAgent() as agent, Meter(agent.address, options=options) as meter:

        def use() -> None:
            for _ in range(10):
                with meter.reserve(customer="acme", quantities={"tokens": 1}) as r:
                    r.settle({"tokens": 1})

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(agent.events) == 80
