"""An unforeseen error in one event is contained. On both databases."""

import pytest

from billing_server.services.ingest_tally import Tally
from billing_server.services.rating_terms import CompiledCustomer, SeriesRoute
from billing_server.services.usage_batch import UsageBatch
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ConflictError
from tests.billing_server.ingest_world import IngestWorld, event

POISON = {"model": "poison"}


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    world = IngestWorld(store)
    world.add_customer("other")
    return world


@pytest.fixture
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes counting fail, unforeseen, for events of one model."""
    route = CompiledCustomer.route

    def failing(self: CompiledCustomer, meter: object, **options: object) -> SeriesRoute:
        if options["dimensions"] == POISON:
            raise ZeroDivisionError("a bug nobody thought of")
        return route(self, meter, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(CompiledCustomer, "route", failing)


@pytest.mark.usefixtures("_poisoned")
def test_only_the_event_that_fails_waits_with_its_trace(world: IngestWorld) -> None:
    agent = world.agent()
    outcome = agent.push(
        event("e1"),
        event("bad", dimensions=POISON),
        event("e2", dimensions={"model": "new"}),
        event("e3", customer="other"),
    )
    assert outcome.tally == Tally(counted=3, quarantined=1)
    assert outcome.applied_seq == 4
    assert world.waiting() == {"bad": "INTERNAL_ERROR"}
    with world.store.read() as unit:
        (row,) = unit.usage.quarantined(limit=10)
    assert row.quarantine_detail is not None
    assert "ZeroDivisionError: a bug nobody thought of" in row.quarantine_detail
    assert "Traceback" in row.quarantine_detail
    assert world.totals() == {("input_tokens", ""): 100, ("input_tokens", "new"): 100}
    assert world.totals("other") == {("input_tokens", ""): 100}
    # The next push counts on, with series made after the failure.
    assert agent.push(event("e4", dimensions={"model": "new"})).tally == Tally(counted=1)
    assert world.totals()["input_tokens", "new"] == 200


def test_a_failure_after_series_were_made_leaves_no_number_behind(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = UsageBatch.write
    calls = []

    def failing_twice(self: UsageBatch, unit: object) -> None:
        write(self, unit)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) <= 2:  # On the fast path, and for the customer as a whole.
            raise ZeroDivisionError("after everything was written")

    monkeypatch.setattr(UsageBatch, "write", failing_twice)
    outcome = world.agent().push(
        event("e1", dimensions={"model": "a"}), event("e2", dimensions={"model": "b"})
    )
    assert outcome.tally == Tally(counted=2)
    assert world.totals() == {("input_tokens", "a"): 100, ("input_tokens", "b"): 100}


def test_a_database_that_is_busy_is_the_callers_to_try_again(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise ConflictError(reason="DATABASE_BUSY", message="busy")

    with monkeypatch.context() as patched:
        patched.setattr(UsageBatch, "write", busy)
        agent = world.agent()
        with pytest.raises(ConflictError):
            agent.push(event("e1"))
    assert world.totals() == {}
    assert agent.push(event("e1"), first_seq=1).tally == Tally(counted=1)


def test_an_error_while_the_agent_advances_undoes_the_count(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.store.agent_repository import SqlAgentRepository

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no")

    agent = world.agent()
    with monkeypatch.context() as patched:
        patched.setattr(SqlAgentRepository, "advance", fail)
        with pytest.raises(ZeroDivisionError):
            agent.push(event("e1"))
    assert world.totals() == {}
    assert agent.push(event("e1"), first_seq=1).tally == Tally(counted=1)


def test_an_event_that_another_server_took_meanwhile_is_the_agents_to_push_again(
    world: IngestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.store.usage_repository import SqlUsageRepository

    world.agent().push(event("e1", customer="nobody"))
    other = world.agent()
    with monkeypatch.context() as patched:
        # The other server's transaction was not yet over when this one looked.
        patched.setattr(SqlUsageRepository, "stored_events", lambda *_: {})
        with pytest.raises(ConflictError) as raised:
            other.push(event("e1", customer="nobody"))
    assert raised.value.reason == "EVENT_TAKEN_MEANWHILE"
    again = other.push(event("e1", customer="nobody"), first_seq=1)
    assert again.tally == Tally(duplicates=1)


@pytest.mark.parametrize("path", ["together with others", "by itself"])
def test_an_event_that_no_invoice_could_hold_waits_and_the_others_are_charged(
    world: IngestWorld, path: str
) -> None:
    """R20: it says field and remedy, and the subscription goes on being rated and invoiced."""
    # 999,999,999,999,999,999 × 0.01 would be about 10^18 cents.
    huge = event("huge", quantities={"input_tokens": "999999999999999999"})
    agent = world.agent()
    before = [event("e1"), event("e2")]
    for events in [[*before, huge]] if path == "together with others" else [before, [huge]]:
        agent.push(*events)
    assert world.waiting() == {"huge": "AMOUNT_TOO_LARGE"}
    assert world.totals() == {("input_tokens", ""): 200}
    with world.store.read() as unit:
        (row,) = unit.usage.quarantined(limit=10)
        assert unit.usage.rating_failed("acme") == {}
    assert row.quarantine_detail is not None
    assert row.quarantine_detail.startswith("quantities: ")
    agent.push(event("e3"))
    assert world.charges()["input"].quantity == 300
