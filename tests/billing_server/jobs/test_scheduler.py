"""The scheduler carries out due work by itself."""

import threading
import time

import pytest

from billing_server.jobs import scheduler as module
from billing_server.jobs.scheduler import Scheduler
from billing_server.services import apply_catalog as apply_catalog_module
from billing_server.services.due_retries import DueRetries
from billing_server.services.move_clock import advance_clock
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context

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

    def fail(*_: object, **__: object) -> None:
        order.append("redrive")
        raise RuntimeError("the database is away")

    def due(*_: object, **__: object) -> None:
        order.append("due")
        is_over.set()

    monkeypatch.setattr(module.QuarantineWatch, "look", fail)
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


def test_a_call_that_leaves_work_behind_wakes_it(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = threading.Semaphore(0)
    monkeypatch.setattr(module, "run_due_work", lambda *_, **__: runs.release())
    context = make_context(memory_store)
    scheduler = Scheduler(context, tick_seconds=3600)
    scheduler.start()
    assert runs.acquire(timeout=SECONDS_MAX)
    apply(context, CATALOG)
    assert runs.acquire(timeout=SECONDS_MAX)
    scheduler.stop()


def test_it_follows_the_clock_that_another_server_moved(store: SqlStore) -> None:
    here, there = make_context(store), make_context(store)
    apply(here, CATALOG)
    later = parse_instant("2026-02-28T11:00:00Z")
    advance_clock(there, to=later)
    scheduler = Scheduler(here, tick_seconds=0.001)
    scheduler.start()
    deadline = time.monotonic() + SECONDS_MAX
    while here.clock.now() < later and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    scheduler.stop()
    assert here.clock.now() == later


def test_events_are_counted_once_though_the_server_died_before_it_counted_them(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R20; the customer is committed, and what follows the commit never happens."""
    context = make_context(store)
    meters_and_plans, customers = CATALOG.split("customers:")
    apply(context, meters_and_plans)
    Usage(context).send("5000", at="2026-02-03T00:00:00Z")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(apply_catalog_module, "redrive_promptly", die)
        with pytest.raises(KeyboardInterrupt):
            apply(context, meters_and_plans + "customers:" + customers)
    with store.read() as unit:
        assert unit.usage.quarantined_count() == 1
    first, second = (Scheduler(context, tick_seconds=0.001) for _ in range(2))
    for scheduler in (first, second):
        scheduler.start()
    deadline = time.monotonic() + SECONDS_MAX
    while _waiting(store) and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    for scheduler in (first, second):
        scheduler.stop()
    with store.read() as unit:
        start = parse_instant("2026-01-31T10:00:00Z")
        (charge,) = unit.usage.running_charges("sub-1", customer_id="acme", period_start=start)
    assert charge.quantity == 5000


def _waiting(store: SqlStore) -> int:
    with store.read() as unit:
        return unit.usage.quarantined_count()
