"""What both ways of counting at the driver must do; run once for each database."""

import sqlite3
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import text

from billing_server.domain.ports.usage import (
    BucketChange,
    ChargeKey,
    ChargeRow,
    ConflictRow,
    EventRow,
    LatestChange,
    ReadingRow,
)
from billing_server.domain.subscription.model import Customer
from billing_server.store.unit_of_work import SqlUnitOfWork
from tests.billing_server.ingest_world import START

INT64_MAX = 2**63 - 1
KEY = ChargeKey("acme", "sub", 1_000_000, "price", 0)


def row(event_id: str, *, customer: str = "acme", seq: int = 1) -> EventRow:
    return EventRow(event_id, customer, 60_000_000, 61_000_000, 7, seq, b"\x00payload", None, None)


def add_periods(unit: SqlUnitOfWork) -> None:
    """Writes a running period [1, 2) and two invoiced ones behind it, in microseconds."""
    unit.connection.execute(
        text(
            "INSERT INTO plan_version (key, version, effective_from, content, create_time) "
            "VALUES ('p', 1, 0, '{}', 0)"
        )
    )
    unit.customers.add(Customer(id="acme"), create_time=START)
    unit.connection.execute(
        text(
            "INSERT INTO subscription (id, customer_id, plan_key, plan_version, start_time, "
            "quantities, content, create_time, update_time) "
            "VALUES ('s', 'acme', 'p', 1, 0, '{}', '{}', 0, 0)"
        )
    )
    unit.connection.execute(
        text(
            "INSERT INTO billing_period (subscription_id, period_start, period_end, "
            "customer_id, state) VALUES ('s', 1, 2, 'acme', 'running'), "
            "('s', 2, 3, 'acme', 'invoiced'), ('s', 3, 4, 'acme', 'invoiced')"
        )
    )


def late_periods(unit: SqlUnitOfWork) -> list[int]:
    """Returns the starts of the periods that are marked as having late usage."""
    statement = "SELECT period_start FROM billing_period WHERE {} ORDER BY period_start"
    is_flag = unit.connection.dialect.name == "postgresql"
    late = statement.format("has_late_usage" if is_flag else "has_late_usage = 1")
    return list(unit.connection.execute(text(late)).scalars())


class CountingContract:
    """Inherited by one test class a database, which gives the `unit` fixture."""

    def test_events_are_inserted_once_and_the_new_ones_are_counted(
        self, unit: SqlUnitOfWork
    ) -> None:
        assert unit.usage.insert_events([row("a"), row("b"), row("a", customer="other")]) == 3
        assert unit.usage.insert_events([row("b", seq=9), row("c")]) == 1
        stored = unit.usage.stored_events([("b", "acme"), ("c", "acme"), ("nothing", "acme")])
        assert stored == {("b", "acme"): row("b"), ("c", "acme"): row("c")}
        assert unit.usage.stored_events([]) == {}
        assert unit.usage.insert_events([]) == 0

    def test_a_waiting_event_keeps_its_reason(self, unit: SqlUnitOfWork) -> None:
        waiting = row("a")._replace(quarantine_reason="WHY", quarantine_detail="because")
        unit.usage.insert_events([waiting])
        assert unit.usage.stored_events([("a", "acme")]) == {("a", "acme"): waiting}

    def test_a_conflict_with_the_same_content_is_there_once(self, unit: SqlUnitOfWork) -> None:
        conflict = ConflictRow("a", "acme", b"h" * 32, 7, 1, 1, 2, b"payload")
        unit.usage.add_conflicts([conflict])
        unit.usage.add_conflicts([conflict._replace(seq=5), conflict._replace(content_sha256=b"i")])
        unit.usage.add_conflicts([])
        assert len(unit.usage.conflicts(limit=10)) == 2

    def test_customers_are_locked_with_their_revisions(self, unit: SqlUnitOfWork) -> None:
        for name in ("a'b", "b"):
            unit.customers.add(Customer(id=name), create_time=START)
        unit.customers.advance_revision("b")
        found = unit.usage.lock_customers(["b", "a'b", "nobody"])
        assert set(found) == {"a'b", "b"}
        assert found["b"] == found["a'b"] + 1
        assert unit.usage.lock_customers([]) == {}

    def test_a_series_has_one_number_for_good(self, unit: SqlUnitOfWork) -> None:
        keys = [("acme", "tokens", "{}"), ("acme", "tokens", '{"a":"1"}'), ("b", "tokens", "{}")]
        first = unit.usage.series_ids(keys[:2])
        second = unit.usage.series_ids(keys)
        assert len(set(second.values())) == 3
        assert {key: second[key] for key in keys[:2]} == first
        assert unit.usage.series_ids([]) == {}

    def test_buckets_add_up_or_keep_the_largest(self, unit: SqlUnitOfWork) -> None:
        changes = [BucketChange(1, "acme", 1, 5, 1), BucketChange(2, "acme", 1, 7, 2)]
        for apply in (unit.usage.add_to_buckets, unit.usage.raise_buckets):
            apply(changes)
            apply([])
        unit.usage.add_to_buckets([BucketChange(1, "acme", 1, 10, 1)])
        unit.usage.raise_buckets([BucketChange(2, "acme", 1, 3, 1)])
        keys = [(1, "acme", 1), (2, "acme", 1), (3, "acme", 1)]
        # 5, max(5, 5), + 10 = 15; 7, max(7, 7), max(7, 3) = 7.
        assert unit.usage.bucket_values(keys) == {keys[0]: 15, keys[1]: 7}
        assert unit.usage.bucket_values([]) == {}
        counts = unit.connection.execute(
            text("SELECT event_count FROM usage_bucket ORDER BY usage_bucket.minute")
        ).scalars()
        assert list(counts) == [3, 5]

    def test_a_bucket_beyond_64_bits_raises_and_never_wraps(self, unit: SqlUnitOfWork) -> None:
        unit.usage.add_to_buckets([BucketChange(1, "acme", 1, INT64_MAX, 1)])
        refusals = (sqlite3.IntegrityError, psycopg.errors.NumericValueOutOfRange)
        with pytest.raises(refusals), unit.usage.savepoint():
            unit.usage.add_to_buckets([BucketChange(1, "acme", 1, 1, 1)])
        assert unit.usage.bucket_values([(1, "acme", 1)]) == {(1, "acme", 1): INT64_MAX}

    def test_charges_are_written_over_with_every_digit(self, unit: SqlUnitOfWork) -> None:
        other = KEY._replace(segment=1)
        unit.usage.put_charges([ChargeRow(KEY, 1, Decimal("0.1"), 10)])
        unit.usage.put_charges(
            [
                ChargeRow(KEY, 10**30, Decimal("123456789012345678.123456789012345678"), INT64_MAX),
                ChargeRow(other, 0, Decimal(0), 0),
            ]
        )
        unit.usage.put_charges([])
        found = unit.usage.charges([KEY, other, KEY._replace(price_key="none")])
        assert {key: row.quantity for key, row in found.items()} == {KEY: 10**30, other: 0}
        assert unit.usage.charges([]) == {}
        exact = unit.connection.execute(
            text("SELECT amount_exact FROM running_charge WHERE segment = 0")
        ).scalar()
        assert Decimal(str(exact)) == Decimal("123456789012345678.123456789012345678")

    def test_a_charge_keeps_its_group_and_the_state_of_its_aggregation(
        self, unit: SqlUnitOfWork
    ) -> None:
        grouped = KEY._replace(group_key='{"project":"a"}')
        rows = [
            ChargeRow(KEY, 7, Decimal("0.7"), 70, 3),
            ChargeRow(grouped, 9, Decimal(0), 0, 0, 1_000_000, "event-1"),
        ]
        unit.usage.put_charges(rows)
        assert unit.usage.charges([KEY, grouped]) == {KEY: rows[0], grouped: rows[1]}

    def test_a_value_is_new_to_a_charge_once(self, unit: SqlUnitOfWork) -> None:
        other = KEY._replace(group_key='{"project":"a"}')
        values = [(KEY, "u1"), (KEY, "u2"), (KEY, "u1"), (other, "u1")]
        assert unit.usage.add_charge_values(values) == {KEY: 2, other: 1}
        assert unit.usage.add_charge_values([(KEY, "u2"), (KEY, "u3")]) == {KEY: 1}
        assert unit.usage.add_charge_values([(KEY, "u3")]) == {}
        assert unit.usage.add_charge_values([]) == {}

    def test_a_bucket_keeps_the_latest_value_by_time_and_id(self, unit: SqlUnitOfWork) -> None:
        latest = LatestChange(1, "acme", 1, 50, 1, 60_000_500, "b")
        for change in (
            latest,
            latest._replace(value=10, last_time_us=60_000_400, last_event_id="z"),
            latest._replace(value=20, last_event_id="a"),
            latest._replace(value=30, last_event_id="c"),
        ):
            unit.usage.put_latest_buckets([change])
        unit.usage.put_latest_buckets([])
        row = unit.connection.execute(
            text("SELECT value, event_count, last_time, last_event_id FROM usage_bucket")
        ).one()
        assert tuple(row) == (30, 4, 60_000_500, "c")

    def test_readings_are_kept_as_they_came(self, unit: SqlUnitOfWork) -> None:
        rows = [
            ReadingRow("acme", 1, 60_000_000, "a", 5, 0, None),
            ReadingRow("acme", 1, 60_000_000, "b", -3, 1, '{"cost":"0.5"}'),
        ]
        unit.usage.add_readings(rows)
        unit.usage.add_readings([])
        found = unit.connection.execute(
            text("SELECT event_id, value, is_change, money FROM usage_reading ORDER BY event_id")
        ).all()
        assert [(*row[:2], bool(row[2]), row[3]) for row in found] == [
            ("a", 5, False, None),
            ("b", -3, True, '{"cost":"0.5"}'),
        ]

    def test_only_invoiced_periods_are_marked_late(self, unit: SqlUnitOfWork) -> None:
        add_periods(unit)
        # Told each time, marked once.
        for _ in range(2):
            assert unit.usage.mark_late_usage({("s", 1), ("s", 2), ("s", 9)}) == {("s", 2)}
        assert unit.usage.mark_late_usage(set()) == set()
        assert late_periods(unit) == [2]

    def test_a_level_marks_every_invoiced_period_that_ends_after_it(
        self, unit: SqlUnitOfWork
    ) -> None:
        add_periods(unit)
        unit.usage.mark_late_levels([("acme", 3), ("nobody", 0)])
        unit.usage.mark_late_levels([])
        assert late_periods(unit) == [3]
        unit.usage.mark_late_levels([("acme", 2)])
        assert late_periods(unit) == [2, 3]

    def test_the_catalog_has_a_revision(self, unit: SqlUnitOfWork) -> None:
        before = unit.usage.share_catalog()
        unit.catalog.advance_revision()
        assert unit.usage.share_catalog() == before + 1
