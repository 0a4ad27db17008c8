"""Due work is carried out in order, in bounded batches, and past failures."""

from dataclasses import replace

import pytest

from billing_server.services import run_due_work as module
from billing_server.services.context import DueFailure, ServiceContext
from billing_server.services.due_retries import DueRetries
from billing_server.services.run_due_work import DueWorkDone, next_due_time, run_due_work
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from tests.billing_server.world import CATALOG, apply, make_context

SUBSCRIPTIONS = "".join(
    f"  - {{id: sub-{number}, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}}\n"
    for number in range(2, 6)
)


def _five_subscriptions(store: SqlStore) -> ServiceContext:
    context = make_context(store)
    apply(context, CATALOG.rstrip() + "\n" + SUBSCRIPTIONS)
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant("2026-02-28T11:00:00Z"))
    return context


def test_everything_due_is_done_whatever_the_size_of_a_batch(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    context = _five_subscriptions(store)
    assert run_due_work(context) == DueWorkDone(done_count=5, failed_count=0)
    assert run_due_work(context) == DueWorkDone(done_count=0, failed_count=0)


def test_one_failure_does_not_hold_up_the_others_and_is_tried_again(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _five_subscriptions(store)
    close = module.close_period

    def fail_for_the_first(*arguments: object, subscription_id: str, **named: object) -> object:
        if subscription_id == "sub-1":
            raise RuntimeError("cannot be rated")
        return close(*arguments, subscription_id=subscription_id, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "close_period", fail_for_the_first)
    # Tried once, though closing the others made the run look for more.
    assert run_due_work(context) == DueWorkDone(done_count=4, failed_count=1)
    monkeypatch.undo()
    assert run_due_work(context) == DueWorkDone(done_count=1, failed_count=0)


def test_the_next_due_time_is_the_earliest_start_or_end_of_grace(store: SqlStore) -> None:
    context = make_context(store)
    future = CATALOG.replace("start: 2026-01-31T10", "start: 2026-02-02T10")
    apply(context, future)
    at = parse_instant
    assert next_due_time(context, after=context.clock.now()) == at("2026-02-02T10:00:00Z")
    assert next_due_time(context, after=at("2026-02-02T10:00:00Z")) == at("2026-03-02T11:00:00Z")
    # A period that waits for its agents is looked at again 72 hours after its end (R75).
    assert next_due_time(context, after=at("2026-03-02T11:00:00Z")) == at("2026-03-05T10:00:00Z")
    assert next_due_time(context, after=at("2026-03-05T10:00:00Z")) is None


def test_a_stop_leaves_the_rest_for_later(store: SqlStore) -> None:
    context = _five_subscriptions(store)
    assert run_due_work(context, should_stop=lambda: True).done_count == 0
    assert run_due_work(context).done_count == 5


def test_failed_work_is_held_back_until_its_wait_is_over(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _five_subscriptions(store)
    now = [0.0]
    retries = DueRetries(lambda: now[0])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cannot be rated")

    with monkeypatch.context() as patched:
        patched.setattr(module, "close_period", fail)
        assert run_due_work(context, retries=retries) == DueWorkDone(0, 5)
        assert run_due_work(context, retries=retries) == DueWorkDone(0, 0)
        now[0] = 1.0
        assert run_due_work(context, retries=retries) == DueWorkDone(0, 5)
    now[0] = 2.0
    assert run_due_work(context, retries=retries) == DueWorkDone(0, 0)
    now[0] = 3.0
    assert run_due_work(context, retries=retries) == DueWorkDone(5, 0)


def test_a_failure_is_logged_with_its_subscription_and_told(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[DueFailure] = []
    context = replace(_five_subscriptions(store), on_due_failure=told.append)

    def fail(*_: object, subscription_id: str, **__: object) -> None:
        raise RuntimeError(f"{subscription_id} cannot be rated")

    monkeypatch.setattr(module, "close_period", fail)
    run_due_work(context)
    assert [(each.work, each.subscription_id, str(each.error)) for each in told] == [
        ("period", f"sub-{number}", f"sub-{number} cannot be rated") for number in range(1, 6)
    ]
    logged = "".join(capsys.readouterr())
    assert "due_work_failed" in logged
    assert "sub-5" in logged
