"""Tables of usage: agents, events, conflicts, series, minute buckets."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from billing_server.domain.ports.usage import DISCARDED
from billing_server.store.schema import key_ordered_table, row_table
from billing_server.store.types import (
    Bytes,
    CanonicalJson,
    Flag,
    Instant,
    Int64,
    Key,
    Minute,
    SurrogateKey,
)

agent = row_table(
    "agent",
    # A small number that stands for the agent in every event row.
    Column("ref", SurrogateKey, primary_key=True, autoincrement=True),
    Column("agent_id", Key, nullable=False, unique=True),
    Column("name", Key, nullable=False, unique=True),
    # In hexadecimal digits.
    Column("token_sha256", Key, nullable=False, unique=True),
    Column("disk_id", Bytes),
    Column("session_no", Int64, nullable=False, server_default=text("0")),
    Column("session_nonce", Bytes),
    Column("sync_no", Int64, nullable=False, server_default=text("0")),
    Column("applied_seq", Int64, nullable=False, server_default=text("0")),
    Column("oldest_unshipped_event_time", Instant),
    Column("last_seen", Instant),
    Column("agent_version", Text),
    Column("create_time", Instant, nullable=False),
    Column("revoke_time", Instant),
    # The enrolled agent whose token it uses; NULL: it is that one. Another disk of it otherwise.
    Column("parent_ref", Int64),
    # Position of the agent's next event, as it last said; 0: it never did.
    Column("reported_next_seq", Int64, nullable=False, server_default=text("0")),
    # Nonce of the last session or sync of leases that was answered.
    Column("sync_nonce", Bytes),
    # That of the number before it, which an acquisition may still name.
    Column("previous_sync_nonce", Bytes),
    # When leases were last synced; NULL: never.
    Column("sync_time", Instant),
    # The server's incarnation in which its session was opened.
    Column("session_incarnation", Text),
    # Whether it was enrolled as one that comes and goes: it is given up after an hour of silence.
    Column("is_ephemeral", Flag, nullable=False, server_default=text("'0'")),
    # When it was declared lost: its leases are presumed used; NULL: it was not.
    Column("forget_time", Instant),
    # Number of the last round of a session or sync that may have answered the disk.
    Column("answer_no", Int64, nullable=False, server_default=text("0")),
)
"""Agents by name and token, and how far each has shipped."""

declared_loss = row_table(
    "declared_loss",
    Column("id", SurrogateKey, primary_key=True, autoincrement=True),
    Column("agent_ref", Int64, ForeignKey("agent.ref"), nullable=False),
    Column("from_seq", Int64, nullable=False),
    Column("to_seq", Int64, nullable=False),
    Column("declare_time", Instant, nullable=False),
    Column("cause", Text, nullable=False, server_default=text("'declared'")),
)
"""Positions that are lost: [from_seq, to_seq], both inclusive."""

agent_customer = key_ordered_table(
    "agent_customer",
    Column("customer_id", Key, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    # Written at most once an hour: closing a period only asks whether there was any.
    Column("carry_time", Instant, nullable=False),
    PrimaryKeyConstraint("customer_id", "agent_ref", name="pk_agent_customer"),
)
"""Which agents have carried a customer's usage: a period waits for them before it is closed."""

usage_event = key_ordered_table(
    "usage_event",
    # The event id first: time-ordered ids then land side by side, whatever the customer.
    Column("event_id", Key, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("event_time", Instant, nullable=False),
    Column("receive_time", Instant, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    Column("seq", Int64, nullable=False),
    # The serialized UsageEvent, byte for byte as the agent shipped it.
    Column("payload", Bytes, nullable=False),
    # NULL: counted. Else why the event waits for an operator, or `DISCARDED`.
    Column("quarantine_reason", Text),
    Column("quarantine_detail", Text),
    PrimaryKeyConstraint("event_id", "customer_id", name="pk_usage_event"),
)
"""Every event once, under the key that makes counting exactly-once."""

EVENT_WAITS = usage_event.c.quarantine_reason != literal_column(f"'{DISCARDED}'")
"""Holds for events that wait: neither counted, where the reason is NULL, nor discarded."""

Index(
    # Without discarded events, however many there are. A query finds it only by the same words.
    "ix_usage_event_waiting",
    usage_event.c.customer_id,
    usage_event.c.event_id,
    sqlite_where=EVENT_WAITS,
    postgresql_where=EVENT_WAITS,
)

Index(
    # By time, so that counting appends to a few pages; a bucket says in which minutes to look.
    "ix_usage_event_time",
    usage_event.c.event_time,
    usage_event.c.customer_id,
)

usage_conflict = row_table(
    "usage_conflict",
    Column("event_id", Key, nullable=False),
    Column("customer_id", Key, nullable=False),
    # Of the canonical content: the same other content is listed once, however often it comes.
    Column("content_sha256", Bytes, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    Column("seq", Int64, nullable=False),
    Column("receive_time", Instant, nullable=False),
    Column("detect_time", Instant, nullable=False),
    Column("payload", Bytes, nullable=False),
    # NULL: nobody has looked at it yet.
    Column("discard_time", Instant),
    PrimaryKeyConstraint("event_id", "customer_id", "content_sha256", name="pk_usage_conflict"),
)
"""Events that came under a used id with other content; the first one stands."""

usage_series = row_table(
    "usage_series",
    Column("series_id", SurrogateKey, primary_key=True, autoincrement=True),
    Column("customer_id", Key, nullable=False),
    Column("meter_key", Key, nullable=False),
    Column("dimensions", CanonicalJson, nullable=False),
    UniqueConstraint("customer_id", "meter_key", "dimensions"),
)
"""One row for each customer, meter and set of dimensions that was ever used."""

alert = row_table(
    "alert",
    Column("alert_id", SurrogateKey, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("series_id", Int64, nullable=False),
    # The minute of the usage that raised it.
    Column("usage_time", Instant, nullable=False),
    # NULL: open.
    Column("close_time", Instant),
)
"""What somebody has to look at, such as usage that no price charges."""

Index(
    # At most one alert of a series is open, whoever counts at the same time.
    "uq_alert_open",
    alert.c.kind,
    alert.c.series_id,
    unique=True,
    sqlite_where=alert.c.close_time.is_(None),
    postgresql_where=alert.c.close_time.is_(None),
)
Index("ix_alert_customer", alert.c.customer_id, alert.c.alert_id)

usage_bucket = key_ordered_table(
    "usage_bucket",
    # The minute first: all rows of the running minute lie side by side, so that counting touches
    # few pages; the index below serves the folds of one customer.
    Column("minute", Minute, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("series_id", Int64, nullable=False),
    # The state of the aggregation in the meter's smallest unit: sum, count, max, or latest value.
    # A unique count's series names its value, so that its rows are the set of values.
    Column("value", Int64, nullable=False),
    Column("event_count", Int64, nullable=False),
    # Of the event that brought the latest value; NULL where the order of events does not matter.
    Column("last_time", Instant),
    Column("last_event_id", Key),
    PrimaryKeyConstraint("minute", "customer_id", "series_id", name="pk_usage_bucket"),
)
"""Usage of one series in one minute. Every total of a period is a fold of these rows."""

Index(
    # A fold of a customer's period is one range of this index, whatever the history before it.
    "ix_usage_bucket_customer",
    usage_bucket.c.customer_id,
    usage_bucket.c.minute,
    usage_bucket.c.series_id,
)
