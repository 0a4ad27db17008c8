"""Tables of usage beside the events: what is kept by event, corrections, adjustments."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Text, text

from billing_server.store.schema import key_ordered_table, row_table
from billing_server.store.types import CanonicalJson, Flag, Instant, Int64, Key, SurrogateKey

usage_reading = key_ordered_table(
    "usage_reading",
    Column("customer_id", Key, nullable=False),
    Column("series_id", Int64, nullable=False),
    Column("event_time", Instant, nullable=False),
    # Of the event; of an adjustment, its id.
    Column("event_id", Key, nullable=False),
    # In the meter's smallest unit.
    Column("value", Int64, nullable=False),
    # Whether the value changes the level before it, as an adjustment does, or sets a new one.
    Column("is_change", Flag, nullable=False, server_default=text("'0'")),
    # The quantities that prices read as money, name to decimal string; NULL where none does.
    Column("money", CanonicalJson),
    PrimaryKeyConstraint(
        "customer_id", "series_id", "event_time", "event_id", name="pk_usage_reading"
    ),
)
"""What each event brought a meter whose quantity or price depends on the order of events."""

usage_correction = key_ordered_table(
    "usage_correction",
    Column("event_id", Key, nullable=False),
    Column("customer_id", Key, nullable=False),
    # From 1; the newest one counts.
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    # What an amendment puts in place of the event's quantities; NULL for a void.
    Column("quantities", CanonicalJson),
    Column("reason", Text, nullable=False),
    Column("create_time", Instant, nullable=False),
    PrimaryKeyConstraint("event_id", "customer_id", "version", name="pk_usage_correction"),
    CheckConstraint("kind IN ('void', 'amend')", name="kind"),
)
"""Facts about events that were counted: the event itself is kept as it came."""

usage_adjustment = row_table(
    "usage_adjustment",
    Column("id", Key, primary_key=True),
    Column("customer_id", Key, nullable=False),
    Column("meter_key", Key, nullable=False),
    Column("dimensions", CanonicalJson, nullable=False),
    Column("event_time", Instant, nullable=False),
    # Signed, in the meter's smallest unit.
    Column("value", Int64, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", Instant, nullable=False),
)
"""Signed quantities that were added to a meter by hand, with the reason."""

Index(
    "ix_usage_adjustment_time",
    usage_adjustment.c.event_time,
    usage_adjustment.c.customer_id,
)
Index(
    "ix_usage_adjustment_customer",
    usage_adjustment.c.customer_id,
    usage_adjustment.c.create_time,
)

late_fact = row_table(
    "late_fact",
    Column("id", SurrogateKey, primary_key=True, autoincrement=True),
    Column("subscription_id", Key, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("event_time", Instant, nullable=False),
    # Of the event or the adjustment.
    Column("fact_id", Key, nullable=False),
    Column("kind", Text, nullable=False),
    # The invoice that charges it; NULL: none yet.
    Column("invoice_number", Key),
    CheckConstraint("kind IN ('event', 'correction', 'adjustment')", name="kind"),
)
"""What was counted in a period after it was invoiced."""

Index(
    "ix_late_fact_period",
    late_fact.c.subscription_id,
    late_fact.c.period_start,
    late_fact.c.event_time,
    late_fact.c.fact_id,
)
