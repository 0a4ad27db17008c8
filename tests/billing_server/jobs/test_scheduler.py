"""The scheduler carries out due work by itself."""

import threading

import pytest

from billing_server.jobs import scheduler as module
from billing_server.jobs.scheduler import Scheduler
from billing_server.services.due_retries import DueRetries
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import make_context

SECONDS_MAX = 20.0


def test_it_runs_at_the_start_when_woken_and_not_after_a_stop(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = threading.Semaphore(0)
    monkeypatch.setattr(module, "run_due_work", lambda *_, **__: runs.release())
    scheduler = Scheduler(make_context(memory_store), tick_seconds=3600)
    scheduler.start()
    assert runs.acquire(timeout=SECONDS_MAX)
    scheduler.wake()
    assert runs.acquire(timeout=SECONDS_MAX)
    scheduler.stop()
    scheduler.wake()
    assert not runs.acquire(blocking=False)


def test_it_goes_on_after_an_error(memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = threading.Semaphore(0)

    def fail(*_: object, **__: object) -> None:
        runs.release()
        raise RuntimeError("the database is away")

    monkeypatch.setattr(module, "run_due_work", fail)
    scheduler = Scheduler(make_context(memory_store), tick_seconds=0.001)
    scheduler.start()
    assert runs.acquire(timeout=SECONDS_MAX)
    assert runs.acquire(timeout=SECONDS_MAX)
    scheduler.stop()


def test_what_waits_is_tried_again_at_the_start_and_a_failure_is_no_obstacle(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    is_over = threading.Event()

    def fail(_: object) -> None:
        order.append("redrive")
        raise RuntimeError("the database is away")

    def due(*_: object, **__: object) -> None:
        order.append("due")
        is_over.set()

    monkeypatch.setattr(module, "redrive_quarantine", fail)
    monkeypatch.setattr(module, "run_due_work", due)
    scheduler = Scheduler(make_context(memory_store), tick_seconds=3600)
    scheduler.start()
    assert is_over.wait(SECONDS_MAX)
    scheduler.stop()
    assert order[:2] == ["redrive", "due"]


def test_it_remembers_failures_over_its_runs(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories: list[object] = []
    is_over = threading.Event()

    def note(*_: object, retries: object, **__: object) -> None:
        memories.append(retries)
        if len(memories) > 1:
            is_over.set()

    monkeypatch.setattr(module, "run_due_work", note)
    scheduler = Scheduler(make_context(memory_store), tick_seconds=0.001)
    scheduler.start()
    assert is_over.wait(SECONDS_MAX)
    scheduler.stop()
    assert isinstance(memories[0], DueRetries)
    assert memories[0] is memories[1]
