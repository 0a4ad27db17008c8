"""The statements about one customer's usage read what is asked and nothing beside it."""

from datetime import timedelta

from sqlalchemy import text

from billing_server.domain.ports.usage import BucketChange
from billing_server.domain.usage.instants import instant_from_minute
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork
from billing_server.store.usage_statements import FOLD, FOLD_METER, SPAN

LARGE = 2**62


def fill(unit: SqlUnitOfWork) -> dict[tuple[str, str, str], int]:
    keys = [("acme", "tokens", "{}"), ("acme", "calls", "{}"), ("other", "tokens", "{}")]
    numbers = unit.usage.series_ids(keys)
    unit.usage.add_to_buckets(
        [
            BucketChange(minute, key[0], numbers[key], LARGE, 2)
            for minute in (5, 6, 9)
            for key in keys
        ]
    )
    return numbers


def test_a_fold_adds_up_each_series_of_the_customer_in_the_span(store: SqlStore) -> None:
    with store.write() as unit:
        numbers = fill(unit)
        span = {"start": instant_from_minute(5), "end": instant_from_minute(9)}
        values = {"of_customer": "acme", **span}
        both = unit.connection.execute(FOLD, values).all()
        one = unit.connection.execute(FOLD_METER, values | {"of_meter": "calls"}).all()
        assert [(row[0], row[1], row[2]) for row in both] == [
            (numbers["acme", "calls", "{}"], "calls", {}),
            (numbers["acme", "tokens", "{}"], "tokens", {}),
        ]
        # In two halves: together they pass 64 bits.
        assert (int(both[0][3]), int(both[0][4])) == (2 * (LARGE >> 32), 0)
        assert (both[0][5], int(both[0][6]), both[0][7]) == (LARGE, 4, None)
        assert one == both[:1]


def test_a_bucket_under_the_series_of_another_customer_is_not_folded(store: SqlStore) -> None:
    with store.write() as unit:
        numbers = fill(unit)
        unit.connection.execute(
            text("UPDATE usage_bucket SET customer_id = 'acme' WHERE series_id = :foreign"),
            {"foreign": numbers["other", "tokens", "{}"]},
        )
        start = instant_from_minute(0)
        found = unit.usage.fold_usage("acme", start=start, end=start + timedelta(days=1))
        assert [each.series_id for each in found] == [
            numbers["acme", "calls", "{}"],
            numbers["acme", "tokens", "{}"],
        ]


def test_the_span_is_from_the_first_to_the_last_minute(store: SqlStore) -> None:
    with store.write() as unit:
        fill(unit)
        (row,) = unit.connection.execute(SPAN, {"of_customer": "acme"}).all()
        assert tuple(row) == (instant_from_minute(5), instant_from_minute(9))
        (row,) = unit.connection.execute(SPAN, {"of_customer": "nobody"}).all()
        assert tuple(row) == (None, None)
