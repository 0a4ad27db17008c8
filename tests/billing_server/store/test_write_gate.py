"""The queue of writers: one at a time, urgent ones first."""

import threading

from billing_server.domain.ports.unit_of_work import Urgency
from billing_server.store.write_gate import WriteGate

SECONDS_MAX = 10.0


def test_who_is_urgent_overtakes_those_that_wait() -> None:
    gate = WriteGate()
    order: list[str] = []

    def work(name: str, urgency: Urgency) -> None:
        assert gate.acquire(urgency=urgency, timeout=SECONDS_MAX)
        order.append(name)
        gate.release()

    def waiting(count: int) -> None:
        # The condition's own list of waiters says when a thread has begun to wait.
        while len(gate._changed._waiters) < count:  # type: ignore[attr-defined]
            pass

    assert gate.acquire(urgency=Urgency.NORMAL, timeout=SECONDS_MAX)
    threads = []
    for count, (name, urgency) in enumerate(
        [("push-1", Urgency.NORMAL), ("push-2", Urgency.NORMAL), ("lease", Urgency.URGENT)], 1
    ):
        threads.append(threading.Thread(target=work, args=(name, urgency)))
        threads[-1].start()
        waiting(count)
    gate.release()
    for thread in threads:
        thread.join(SECONDS_MAX)
    assert order[0] == "lease"
    assert sorted(order) == ["lease", "push-1", "push-2"]


def test_the_holder_may_take_it_again_and_others_wait_in_vain() -> None:
    gate = WriteGate()
    outcome: list[bool] = []
    for _ in range(2):
        assert gate.acquire(urgency=Urgency.NORMAL, timeout=0)
    gate.release()

    def attempt(urgency: Urgency) -> None:
        outcome.append(gate.acquire(urgency=urgency, timeout=0.01))
        if outcome[-1]:
            gate.release()

    for urgency in Urgency:
        thread = threading.Thread(target=attempt, args=(urgency,))
        thread.start()
        thread.join(SECONDS_MAX)
    gate.release()
    # An urgent one that gave up is no longer waited for.
    thread = threading.Thread(target=attempt, args=(Urgency.NORMAL,))
    thread.start()
    thread.join(SECONDS_MAX)
    assert outcome == [False, False, True]
