"""Databases that older programs left behind, as SQL text that was read out of their real files."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.context import BillingSettings, ServiceContext
from billing_server.services.run_due_work import run_due_work
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore, open_store
from meter_agent.store.database import open_writer
from meter_agent.store.schema import READABLE_FROM
from metering.clock import ManualClock
from metering.errors import InvalidStateError
from tests.compatibility.older import FOLDER
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent, event

WAITING = ["waiting-1", "waiting-2", "waiting-3"]
"""What each older agent had answered OK and not shipped when it was killed."""


def restored(name: str, path: Path) -> Path:
    """Makes a database from its text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / name).read_text(encoding="utf-8"))
    return path


@pytest.mark.parametrize("name", ["agent_schema_0001.sql", "agent_schema_0004.sql"])
def test_the_present_agent_ships_what_an_older_one_has_left(name: str, tmp_path: Path) -> None:
    restored(name, tmp_path / "data" / "agent.db")
    with FakeServer() as server:
        # The server's side of the older agent's one session: two events are applied.
        server.books.session_no, server.books.applied_seq = 1, 2
        with RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent:
            agent.record([event("new")])
            assert server.wait_for_event_count(4)
            agent.wait_until_drained()
            status = agent.status()
        assert server.event_ids == [*WAITING, "new"]
        assert [request.sync_no for request in server.sessions] == [2]
        assert server.books.losses == []
    assert (status.next_seq, status.applied_seq, status.imbalance_count) == (7, 6, 0)


@pytest.mark.parametrize("name", ["agent_schema_0001.sql", "agent_schema_0004.sql"])
def test_migrating_an_older_buffer_changes_no_row_of_it(name: str, tmp_path: Path) -> None:
    path = restored(name, tmp_path / "agent.db")
    query = "SELECT first_seq, event_count, receive_time_us, end_bytes, events FROM block"
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute(query).fetchall()
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(query).fetchall() == before


NEWER = """
ALTER TABLE block ADD COLUMN compression TEXT NOT NULL DEFAULT 'none';
CREATE TABLE something_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO something_new VALUES (1, 'kept');
INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
VALUES ('meter_agent', '0999_something_new', '2027-01-01 00:00:00+00:00');
"""
"""What the next version may do to a buffer that this one has to go on with."""


def made_newer(path: Path, *, readable_from: int) -> None:
    restored("agent_schema_0004.sql", path)
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(NEWER)
        connection.execute(f"PRAGMA user_version = {readable_from}")


def test_the_buffer_of_the_next_version_is_shipped_after_a_downgrade(tmp_path: Path) -> None:
    path = tmp_path / "data" / "agent.db"
    made_newer(path, readable_from=READABLE_FROM)
    with FakeServer() as server:
        server.books.session_no, server.books.applied_seq = 1, 2
        with RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent:
            agent.record([event("new")])
            assert server.wait_for_event_count(4)
        assert server.event_ids == [*WAITING, "new"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM something_new").fetchall() == [("kept",)]


def test_a_buffer_that_this_version_would_misread_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "agent.db"
    made_newer(path, readable_from=999)
    before = path.read_bytes()
    with pytest.raises(InvalidStateError) as raised:
        open_writer(path)
    assert raised.value.reason == "DATABASE_NEWER"
    assert "0999_something_new" in str(raised.value)
    assert path.read_bytes() == before


@pytest.fixture
def server_store(tmp_path: Path) -> Any:
    """Opens the database of an older server: a month invoiced, usage in the next."""
    path = restored("server_revision_0002.sql", tmp_path / "billing.db")
    store = open_store(f"sqlite:///{path}")
    yield store
    store.close()


def context_at(store: SqlStore, instant: datetime) -> ServiceContext:
    return ServiceContext(
        store=store,
        clock=ManualClock(instant),
        random_bytes=os.urandom,
        settings=BillingSettings(),
    )


def lines_of(invoice: Any) -> dict[str, tuple[str, str]]:
    return {line["price"]: (line["quantity"], line["amount"]) for line in invoice["lines"]}


def test_the_live_charges_of_an_older_server_are_what_it_showed(server_store: SqlStore) -> None:
    context = context_at(server_store, datetime(2026, 11, 12, tzinfo=UTC))
    acme = upcoming_invoice(context, customer_id="acme")
    globex = upcoming_invoice(context, customer_id="globex")
    # 2,500 tokens less 1,000 included at $0.01.
    assert lines_of(acme) == {
        "base": ("1", "49.00"),
        "calls": ("1", "0.10"),
        "input": ("2500", "15.00"),
    }
    assert (acme["total"], globex["total"]) == ("64.10", "55.10")


def test_the_invoices_of_an_older_server_stand_and_the_next_number_follows(
    server_store: SqlStore,
) -> None:
    context = context_at(server_store, datetime(2026, 12, 5, tzinfo=UTC))
    run_due_work(context)
    with server_store.read() as unit:
        found = unit.invoices.page(InvoiceFilter(), after=None, limit=100)
    invoices = {invoice["number"]: invoice for invoice in found}
    # As the older server had issued them.
    assert [invoices[f"INV-{number:06}"]["total"] for number in range(1, 6)] == [
        "49.00",
        "0.27",
        "49.00",
        "169.20",
        "49.10",
    ]
    november = [invoices[f"INV-{number:06}"] for number in (6, 7)]
    assert sorted(Decimal(invoice["total"]) for invoice in november) == [
        Decimal("55.10"),
        Decimal("64.10"),
    ]
    assert len(invoices) == 7
