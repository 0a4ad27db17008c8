"""The test clock stops wherever work falls due."""

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services import move_clock as module
from billing_server.services.context import ServiceContext
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock, read_clock, refresh_clock
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import SystemClock, parse_instant
from metering.errors import InvalidStateError, ValidationError
from tests.billing_server.world import CATALOG, apply, make_context


def test_each_invoice_is_issued_at_its_own_time_however_far_the_clock_goes(
    store: SqlStore,
) -> None:
    """R12; and the numbers follow the times over all customers."""
    context = make_context(store)
    other = """
  - {id: sub-2, customer: acme, plan: pro, start: 2026-02-15T00:00:00Z}
"""
    apply(context, CATALOG.rstrip() + other)
    advance_clock(context, to=parse_instant("2026-04-01T00:00:00Z"))
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter())
    assert [
        (invoice["number"], invoice["reason"], invoice["issue_time"]) for invoice in page.entries
    ] == [
        ("INV-000001", "start", "2026-01-31T10:00:00Z"),
        ("INV-000002", "start", "2026-02-15T00:00:00Z"),
        ("INV-000003", "periodic", "2026-02-28T11:00:00Z"),
        ("INV-000004", "periodic", "2026-03-15T01:00:00Z"),
        ("INV-000005", "periodic", "2026-03-31T11:00:00Z"),
    ]


def test_the_clock_is_kept_in_the_database_and_never_goes_back(store: SqlStore) -> None:
    context = make_context(store)
    later = parse_instant("2026-02-01T00:00:00Z")
    assert advance_clock(context, to=later).now == later
    with store.read() as unit:
        assert unit.clock.test_clock() == later
    with pytest.raises(ValidationError) as refused:
        advance_clock(context, to=parse_instant("2026-01-31T23:59:59Z"))
    assert refused.value.reason == "CLOCK_BACKWARDS"
    assert read_clock(context).now == later


def test_real_time_cannot_be_moved(memory_store: SqlStore) -> None:
    context = ServiceContext(store=memory_store, clock=SystemClock(), random_bytes=bytes)
    with pytest.raises(InvalidStateError) as refused:
        advance_clock(context, to=parse_instant("2126-01-01T00:00:00Z"))
    assert refused.value.reason == "CLOCK_IS_REAL"
    assert not read_clock(context).is_test_clock


def test_a_mistyped_year_is_refused(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    with pytest.raises(ValidationError) as refused:
        advance_clock(context, to=parse_instant("2206-02-01T00:00:00Z"))
    assert refused.value.reason == "CLOCK_STEP_TOO_LONG"


def test_no_server_of_a_database_moves_its_clock_back(store: SqlStore) -> None:
    here, there = make_context(store), make_context(store)
    may = parse_instant("2026-05-01T00:00:00Z")
    advance_clock(here, to=may)
    assert read_clock(there).now == may
    with pytest.raises(ValidationError, match="2026-05-01T00:00:00Z") as refused:
        advance_clock(there, to=parse_instant("2026-03-15T00:00:00Z"))
    assert refused.value.reason == "CLOCK_BACKWARDS"
    with store.read() as unit:
        assert unit.clock.test_clock() == may
    refresh_clock(there)
    assert there.clock.now() == may


def test_a_server_that_moved_the_clock_further_meanwhile_is_followed(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make_context(store), make_context(store)
    april, may = parse_instant("2026-04-01T00:00:00Z"), parse_instant("2026-05-01T00:00:00Z")
    with monkeypatch.context() as patch:
        # Between the check and the move of one server the other one moves.
        patch.setattr(module, "run_due_work", lambda _: None)
        patch.setattr(module, "next_due_time", lambda *_, **__: move_there())

        def move_there() -> None:
            patch.setattr(module, "next_due_time", lambda *_, **__: None)
            advance_clock(there, to=may)

        assert advance_clock(here, to=april).now == may
    with store.read() as unit:
        assert unit.clock.test_clock() == may
