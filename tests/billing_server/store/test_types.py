"""Values come back from both databases exactly as they went in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Column, MetaData, Table, select
from sqlalchemy.exc import StatementError
from sqlalchemy.types import TypeEngine

from billing_server.store.types import (
    CanonicalJson,
    ExactDecimal,
    Flag,
    Instant,
    Int64,
    Key,
    Minute,
    WideInteger,
    canonical_json,
)
from billing_server.store.unit_of_work import SqlStore

NOON = datetime(2026, 3, 10, 12, 0, 30, 123456, tzinfo=UTC)


def stored(store: SqlStore, kind: TypeEngine[object], value: object) -> object:
    """Writes a value into a fresh STRICT table and reads it back."""
    table = Table("tried", MetaData(), Column("value", kind), sqlite_strict=True)
    with store.write() as unit:
        table.drop(unit.connection, checkfirst=True)
        table.create(unit.connection)
        unit.connection.execute(table.insert().values(value=value))
        return unit.connection.execute(select(table.c.value)).scalar_one()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ExactDecimal(), Decimal("0.1") + Decimal("0.2")),
        (ExactDecimal(), Decimal("12345678901234567890.1234567890")),  # 30 digits.
        (ExactDecimal(), Decimal("-0.000000000000000001")),
        (ExactDecimal(), Decimal("1E+3")),
        (WideInteger(), 10**40 + 1),
        (WideInteger(), -(2**63) - 1),
        (Int64, 2**63 - 1),
        (Instant(), NOON),
        (Instant(), datetime(1, 1, 1, tzinfo=UTC)),
        (Minute(), NOON.replace(second=0, microsecond=0)),
        (Flag(), True),
        (Flag(), False),
        (Key, "Zürich ☃"),
        (CanonicalJson(), {"b": [1, "2"], "a": None}),
        (ExactDecimal(), None),
        (Instant(), None),
        (Minute(), None),
        (WideInteger(), None),
        (Flag(), None),
        (CanonicalJson(), None),
    ],
)
def test_a_value_comes_back_as_it_went_in(
    store: SqlStore, kind: TypeEngine[object], value: object
) -> None:
    found = stored(store, kind, value)
    assert found == value
    assert type(found) is type(value)


def test_a_minute_is_rounded_down(store: SqlStore) -> None:
    assert stored(store, Minute(), NOON) == NOON.replace(second=0, microsecond=0)


def test_an_instant_in_another_zone_comes_back_in_utc(store: SqlStore) -> None:
    from zoneinfo import ZoneInfo

    found = stored(store, Instant(), NOON.astimezone(ZoneInfo("Asia/Kolkata")))
    assert found == NOON
    assert isinstance(found, datetime)
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ExactDecimal(), Decimal("NaN")),
        (ExactDecimal(), 0.1),
        (Instant(), datetime(2026, 1, 1)),  # noqa: DTZ001
    ],
)
def test_what_would_lose_its_meaning_is_refused(
    store: SqlStore, kind: TypeEngine[object], value: object
) -> None:
    with pytest.raises(StatementError):
        stored(store, kind, value)


def test_equal_values_have_equal_json() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
