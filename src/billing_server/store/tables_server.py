"""Tables of the server itself: identity, settings, number series."""

from sqlalchemy import CheckConstraint, Column, Integer, Text, text

from billing_server.store.schema import row_table
from billing_server.store.types import CanonicalJson, Flag, Instant, Int64, Key

server_state = row_table(
    "server_state",
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Identity of this data; it changes when the server was restored from a backup.
    Column("incarnation", Text, nullable=False),
    # `real` or `test`, settled by the first start and for good; NULL before it.
    Column("clock_kind", Text),
    # Where the test clock stands; NULL on the real clock.
    Column("test_clock", Instant),
    Column("create_time", Instant, nullable=False),
    # What a restored database shows by: the mark of the file beside it, or PostgreSQL's timeline.
    Column("origin_mark", Text),
    # When the incarnation was renewed; NULL: never.
    Column("incarnation_time", Instant),
    CheckConstraint("id = 1", name="single"),
    CheckConstraint("clock_kind IN ('real', 'test')", name="clock_kind"),
)
"""One row: what this database is."""

catalog_state = row_table(
    "catalog_state",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Int64, nullable=False),
    CheckConstraint("id = 1", name="single"),
)
"""One row, apart from server_state: ingest shares a lock on it, catalog changes take it alone."""

setting = row_table(
    "setting",
    Column("key", Key, primary_key=True),
    Column("value", CanonicalJson, nullable=False),
    Column("update_time", Instant, nullable=False),
)
"""Settings that an operator changed from their defaults."""

number_series = row_table(
    "number_series",
    Column("key", Key, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("next_number", Int64, nullable=False),
)
"""Gap-free numbers, fetched under the row's lock in the transaction that uses them."""

join_token = row_table(
    "join_token",
    Column("join_token_id", Key, primary_key=True),
    # What the names of its agents begin with.
    Column("fleet", Text, nullable=False),
    # In hexadecimal digits.
    Column("token_sha256", Key, nullable=False, unique=True),
    Column("create_time", Instant, nullable=False),
    Column("expire_time", Instant, nullable=False),
    Column("agent_count_max", Int64, nullable=False),
    # Agents that have joined by it; those that are gone since count as well.
    Column("agent_count", Int64, nullable=False, server_default=text("0")),
    Column("revoke_time", Instant),
    Column("is_ephemeral", Flag, nullable=False, server_default=text("'0'")),
)
"""Tokens by which the hosts of a fleet enroll themselves."""
