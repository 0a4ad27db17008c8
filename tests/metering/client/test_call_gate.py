"""The gate between calls and a fork."""

import threading

from metering.client.call_gate import CallGate


def test_a_shut_gate_holds_calls_until_it_is_opened() -> None:
    gate = CallGate()
    gate.shut(timeout_seconds=0)
    inside = threading.Event()

    def call() -> None:
        with gate:
            inside.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert not inside.wait(0.05)
    gate.open()
    assert inside.wait(10)
    thread.join(10)


def test_shutting_waits_for_the_calls_inside() -> None:
    gate = CallGate()
    entered, leave = threading.Event(), threading.Event()

    def call() -> None:
        with gate:
            entered.set()
            leave.wait(10)

    calling = threading.Thread(target=call)
    calling.start()
    assert entered.wait(10)
    shut = threading.Event()

    def shut_gate() -> None:
        gate.shut(timeout_seconds=10)
        shut.set()

    shutting = threading.Thread(target=shut_gate)
    shutting.start()
    assert not shut.wait(0.05)
    leave.set()
    assert shut.wait(10)
    calling.join(10)
    shutting.join(10)


def test_a_call_that_hangs_holds_a_fork_up_for_its_bound_only() -> None:
    gate = CallGate()
    with gate:
        assert not gate.shut(timeout_seconds=0.01)
        gate.open()
    assert gate.shut(timeout_seconds=0)
