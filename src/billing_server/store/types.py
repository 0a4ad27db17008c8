"""Column types that mean the same on SQLite and on PostgreSQL.

SQLite has no decimal, no time and no boolean of its own, and its STRICT tables take INTEGER, TEXT
and BLOB only. Each kind of value has exactly one type here, so that no number is ever bound as a
binary fraction and no instant loses its zone.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Dialect, Integer, Numeric, Text
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import LargeBinary, TypeDecorator, TypeEngine

from billing_server.domain.usage.instants import (
    instant_from_microseconds,
    instant_from_minute,
    microseconds_from_instant,
    minute_from_instant,
)

Int64: TypeEngine[int] = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""A signed 64-bit integer."""

SurrogateKey: TypeEngine[int] = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""A 64-bit integer that the database hands out."""

Key: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
"""An identifier: compared and sorted by its bytes on both databases."""

Bytes: TypeEngine[bytes] = LargeBinary()
"""A byte string of any length."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, stored as whole microseconds since 1970 in a 64-bit integer."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns INTEGER on SQLite, whose STRICT tables know no BIGINT."""
        return _integer_for(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turns an aware datetime into microseconds; a naive one is a bug and raises."""
        return None if value is None else microseconds_from_instant(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Turns microseconds into an aware UTC datetime."""
        return None if value is None else instant_from_microseconds(value)


class Minute(TypeDecorator[datetime]):
    """The instant at which a minute begins, stored as whole minutes since 1970."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns INTEGER on both: minutes fit into 32 bits until the year 6053."""
        return dialect.type_descriptor(Integer())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turns an aware datetime into minutes, rounded down."""
        return None if value is None else minute_from_instant(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Turns minutes into an aware UTC datetime."""
        return None if value is None else instant_from_minute(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """A finite decimal of any length: NUMERIC on PostgreSQL, plain digits in TEXT on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns NUMERIC without bounds, or TEXT."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Turns a decimal into what the database takes, digit by digit."""
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise ValueError("only a finite Decimal can be stored as an exact decimal")
        return value if dialect.name == "postgresql" else format(value, "f")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """Returns the same digits as a Decimal."""
        return None if value is None else Decimal(value)


class WideInteger(TypeDecorator[int]):
    """An integer without bounds: NUMERIC on PostgreSQL, digits in TEXT on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns NUMERIC without bounds, or TEXT."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """Turns an integer into what the database takes."""
        if value is None:
            return None
        return Decimal(value) if dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        """Returns the integer."""
        return None if value is None else int(value)


class Flag(TypeDecorator[bool]):
    """True or false: BOOLEAN on PostgreSQL, 1 or 0 on SQLite."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns INTEGER on SQLite, whose STRICT tables know no BOOLEAN."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Boolean())
        return dialect.type_descriptor(Integer())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:  # noqa: FBT001
        """Turns a truth value into what the database takes."""
        if value is None:
            return None
        return bool(value) if dialect.name == "postgresql" else int(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bool | None:
        """Returns the truth value."""
        return None if value is None else bool(value)


class CanonicalJson(TypeDecorator[Any]):
    """JSON as canonical text: sorted keys, no spaces, so that equal values are equal strings."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        """Turns a value into canonical JSON."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """Parses the text."""
        return None if value is None else json.loads(value)


class DocumentJson(TypeDecorator[Any]):
    """JSON as it was written, field by field in its own order: for documents shown to people."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        """Turns a value into JSON without changing the order of its fields."""
        if value is None:
            return None
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """Parses the text."""
        return None if value is None else json.loads(value)


def canonical_json(value: Mapping[str, Any] | list[Any] | str | float | None) -> str:
    """Returns JSON with sorted keys and no spaces; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _integer_for(dialect: Dialect) -> TypeEngine[Any]:
    """Returns the 64-bit integer type of a database."""
    if dialect.name == "postgresql":
        return dialect.type_descriptor(BigInteger())
    return dialect.type_descriptor(Integer())
