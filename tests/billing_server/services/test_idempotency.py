"""A repeated request gets the answer of the first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_server.services.context import ServiceContext
from billing_server.services.idempotency import (
    begin_request,
    complete_request,
    release_request,
    scoped_key,
)
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock
from metering.errors import AlreadyExistsError, ConflictError, ValidationError
from tests.billing_server.world import make_context


def _timed(store: SqlStore) -> ServiceContext:
    """Real time that a test can move: the clock of the database stands still meanwhile."""
    made = make_context(store)
    return replace(made, wall_clock=ManualClock(made.clock.now()))


def test_a_repeat_is_answered_as_the_first_was(store: SqlStore) -> None:
    context = make_context(store)
    assert begin_request(context, key="k", request_sha256="a") is None
    complete_request(context, key="k", request_sha256="a", response_code=201, body="{}")
    known = begin_request(context, key="k", request_sha256="a")
    assert known is not None
    assert (known.response_code, known.response_body) == (201, "{}")


def test_another_request_under_the_same_key_is_refused(store: SqlStore) -> None:
    context = make_context(store)
    begin_request(context, key="k", request_sha256="a")
    with pytest.raises(AlreadyExistsError) as refused:
        begin_request(context, key="k", request_sha256="b")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"


def test_a_repeat_during_the_first_waits_and_after_its_death_is_carried_out(
    store: SqlStore,
) -> None:
    context = _timed(store)
    assert isinstance(context.wall_clock, ManualClock)
    begin_request(context, key="k", request_sha256="a")
    with pytest.raises(ConflictError) as refused:
        begin_request(context, key="k", request_sha256="a")
    assert refused.value.reason == "REQUEST_IN_PROGRESS"
    context.wall_clock.advance(timedelta(seconds=61))
    assert begin_request(context, key="k", request_sha256="a") is None


def test_a_failed_request_is_forgotten(store: SqlStore) -> None:
    context = make_context(store)
    begin_request(context, key="k", request_sha256="a")
    release_request(context, key="k")
    assert begin_request(context, key="k", request_sha256="b") is None


def test_a_repeat_that_fails_beside_a_slow_first_try_leaves_its_answer(store: SqlStore) -> None:
    """The first took longer than a request lives, and was answered while its repeat ran."""
    context = _timed(store)
    assert isinstance(context.wall_clock, ManualClock)
    begin_request(context, key="k", request_sha256="a")
    context.wall_clock.advance(timedelta(seconds=61))
    assert begin_request(context, key="k", request_sha256="a") is None
    complete_request(context, key="k", request_sha256="a", response_code=201, body="{}")
    release_request(context, key="k")
    known = begin_request(context, key="k", request_sha256="a")
    assert known is not None
    assert known.response_code == 201


def test_answers_are_forgotten_after_a_day(store: SqlStore) -> None:
    context = _timed(store)
    assert isinstance(context.wall_clock, ManualClock)
    begin_request(context, key="k", request_sha256="a")
    complete_request(context, key="k", request_sha256="a", response_code=200, body="{}")
    context.wall_clock.advance(timedelta(hours=24, seconds=1))
    assert begin_request(context, key="k", request_sha256="b") is None


@pytest.mark.parametrize("key", ["", "  ", "k" * 256])
def test_a_malformed_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        scoped_key(key, owner="console")
    assert refused.value.reason == "IDEMPOTENCY_KEY_MALFORMED"


def test_callers_do_not_meet_each_other_s_keys() -> None:
    assert scoped_key("k" * 255, owner="a") != scoped_key("k" * 255, owner="b")
