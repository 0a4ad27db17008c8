"""Leases, wants and what agents were told, on both databases."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.ports.limits import LeaseWant, TermsWatch
from billing_server.domain.ports.news import news_of_disk
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.catalog_rows import CUSTOMER
from tests.billing_server.store.limit_rows import DAY, NOW, account, lease
from tests.billing_server.store.test_agent_repository import SESSION

NOON_SOON = NOW + timedelta(seconds=30)
WANT = LeaseWant(
    agent_ref=1, customer_id="acme", limit_key="daily", demand_per_second=5, update_time=NOW
)
WATCH = TermsWatch(
    agent_ref=1,
    customer_id="acme",
    terms_revision=7,
    terms_digest="d",
    catalog_revision=1,
    customer_revision=1,
    valid_until=NOW + timedelta(hours=1),
)


def test_what_an_operator_released_is_what_closed_leases_have_left(store: SqlStore) -> None:
    first = lease(1, granted=50, returned=5, settled=15, state=LeaseState.CLOSED)
    second = lease(2, granted=7, state=LeaseState.CLOSED)
    overdrawn = lease(3, granted=7, settled=9, state=LeaseState.CLOSED)
    written_off = lease(4, granted=80, state=LeaseState.WRITTEN_OFF)
    with store.write() as unit:
        unit.leases.put([first, second, overdrawn, written_off])
        assert unit.leases.released_rest(DAY) == 30 + 7
        assert unit.leases.released_rest(DAY._replace(window_id="x")) == 0


def test_leases_are_found_by_id_window_and_agent_while_they_are_open(store: SqlStore) -> None:
    first = lease(1, granted=5, report_time=NOW, expire_time=NOW, rate_per_minute=3, burst=2)
    second = lease(2, agent_ref=2, state=LeaseState.RECLAIMED)
    closed = lease(3, state=LeaseState.CLOSED)
    with store.write() as unit:
        unit.leases.put([])
        unit.leases.put([first, second, closed])
        assert unit.leases.of_windows([DAY]) == (first, second)
        assert unit.leases.of_windows([DAY._replace(window_id="x")]) == ()
        assert unit.leases.of_agent(1) == (first,)
        assert unit.leases.by_id([first.lease_id, closed.lease_id, b"x" * 16]) == {
            first.lease_id: first,
            closed.lease_id: closed,
        }
        risen = replace(first, granted=9, settled=1, recall_no=1)
        unit.leases.put([risen])
        assert unit.leases.by_id([first.lease_id])[first.lease_id] == risen


def test_live_leases_of_agents_that_have_not_synced_are_silent(store: SqlStore) -> None:
    later = NOW + timedelta(hours=1)
    with store.write() as unit:
        for name in ("heard", "silent"):
            unit.agents.enroll(agent_id=name, name=name, token_sha256=name, create_time=NOW)
        heard, silent = (unit.agents.by_name(name) for name in ("heard", "silent"))
        assert heard is not None
        assert silent is not None
        unit.agents.note_sync(heard, sync_no=1, nonce=b"n" * 16, at=later)
        unit.agents.note_sync(silent, sync_no=1, nonce=b"n" * 16, at=NOW)
        live = lease(1, agent_ref=silent.ref)
        lost = lease(2, agent_ref=silent.ref, state=LeaseState.WRITTEN_OFF)
        fresh = lease(3, agent_ref=silent.ref, create_time=later)
        unit.leases.put([live, lost, fresh, lease(4, agent_ref=heard.ref)])
        ended = DAY._replace(window_id="ended")
        unit.limits.add_account(account(ended, end=NOW))
        other = lease(5, agent_ref=silent.ref)
        unit.leases.put([other, lease(6, key=ended, agent_ref=silent.ref)])
        assert unit.leases.silent(before=later, after=b"", limit=9) == (live, other)
        assert unit.leases.silent(before=later, after=live.lease_id, limit=1) == (other,)


def test_closed_leases_of_windows_that_ended_are_forgotten(store: SqlStore) -> None:
    running = DAY._replace(window_id="running")
    with store.write() as unit:
        unit.limits.add_account(account(end=NOW))
        unit.limits.add_account(account(running, end=NOW + timedelta(days=1)))
        unit.leases.put([lease(1, state=LeaseState.CLOSED), lease(2)])
        unit.leases.put([lease(3, key=running, state=LeaseState.CLOSED)])
        assert unit.leases.purge(ended_before=NOW + timedelta(minutes=1), limit=9) == 1
        assert len(unit.leases.by_id([bytes([n]) * 16 for n in (1, 2, 3)])) == 2


def test_demand_is_kept_by_agent_and_limit(store: SqlStore) -> None:
    other = replace(WANT, agent_ref=2, largest_call=3, outage_float=4, is_urgent=True)
    with store.write() as unit:
        unit.leases.put_wants([WANT, other])
        unit.leases.put_wants([replace(WANT, demand_per_second=6)])
        first, second = unit.leases.wants([("acme", "daily")])
        assert (first.demand_per_second, second) == (6, other)
        assert unit.leases.wants_of_agent(2) == {("acme", "daily"): other}
        unit.leases.drop_wants(2, pairs=[("acme", "daily"), ("acme", "x")])
        assert unit.leases.wants_of_agent(2) == {}


def test_a_watch_is_stale_once_its_customer_catalog_or_window_has_changed(store: SqlStore) -> None:
    def stale(catalog_revision: int = 1, minutes: int = 0) -> list[str]:
        found = unit.leases.stale_watches(
            1,
            catalog_revision=catalog_revision,
            now=NOW + timedelta(minutes=minutes),
            limit=9,
        )
        return [watch.customer_id for watch in found]

    with store.write() as unit:
        unit.customers.add(replace(CUSTOMER, id="acme"), create_time=NOW)
        unknown = replace(WATCH, customer_id="new", customer_revision=0, valid_until=None)
        unit.leases.watch([WATCH, unknown])
        assert stale() == []
        assert stale(catalog_revision=2) == ["acme", "new"]
        assert stale(minutes=60) == ["acme"]
        unit.customers.advance_revision("acme")
        unit.customers.add(replace(CUSTOMER, id="new"), create_time=NOW)
        assert stale() == ["acme", "new"]


def test_watches_are_told_in_the_order_of_their_revisions(store: SqlStore) -> None:
    later = replace(WATCH, customer_id="a-later", terms_revision=8)
    with store.write() as unit:
        unit.leases.watch([later, WATCH, replace(WATCH, agent_ref=2)])
        assert unit.leases.watches_after(1, terms_revision=0, limit=9) == (WATCH, later)
        assert unit.leases.watches_after(1, terms_revision=7, limit=9) == (later,)
        assert (unit.leases.last_revision(1), unit.leases.last_revision(3)) == (8, 0)
        assert unit.leases.watches(1, customer_ids=["acme", "x"]) == {"acme": WATCH}
        assert unit.leases.watchers("acme") == (1, 2)
        unit.leases.forget_agent(2)
        assert unit.leases.watchers("acme") == (1,)


def test_a_disk_is_told_of_what_changed_and_of_what_runs_out(store: SqlStore) -> None:
    untold, again = lease(1, told_in=None), lease(2, told_in=7)
    expiring, lasting = lease(3, expire_time=NOON_SOON), lease(4)
    closed = lease(5, state=LeaseState.CLOSED, told_in=None)
    with store.write() as unit:
        unit.leases.put([untold, again, expiring, lasting, closed, lease(6, agent_ref=2)])
        told = unit.leases.to_tell(1, told_in=7, expiring_before=NOW + timedelta(minutes=1))
        assert told == (untold, again, expiring, closed)
        unit.leases.move(1, to_ref=3)
        assert unit.leases.of_agent(1) == ()
        assert len(unit.leases.of_agent(3)) == 4


def test_closed_leases_that_an_agent_has_heard_of_are_not_read_again(
    memory_store: SqlStore,
) -> None:
    asked: list[tuple[str, Any]] = []
    with memory_store.write() as unit:
        connection = unit.leases._connection
        event.listen(
            connection, "before_cursor_execute", lambda *call: asked.append((call[2], call[3]))
        )
        unit.leases.to_tell(1, told_in=7, expiring_before=NOW)
        ((statement, values),) = asked
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    # Its partial index leaves them out: there are weeks of them.
    assert [row.detail for row in plan if "lease" in row.detail] == [
        "SEARCH lease USING INDEX ix_lease_agent (agent_ref=?)"
    ]


def test_whoever_was_told_the_terms_of_a_customer_hears_of_a_change(
    memory_store: SqlStore,
) -> None:
    heard: list[str] = []
    memory_store.news.listen(heard.append)
    with memory_store.write() as unit:
        made = unit.agents.enroll(agent_id="agt_1", name="a", token_sha256="a", create_time=NOW)
        unit.agents.open_session("agt_1", session=SESSION)
        unit.leases.watch([replace(WATCH, agent_ref=made.ref), replace(WATCH, agent_ref=99)])
        unit.leases.announce_terms(["acme", "other"])
    assert sorted(heard) == ["acme", news_of_disk(SESSION.disk_id), "other"]
