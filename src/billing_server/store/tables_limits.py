"""Tables of limits: accounts, leases, what agents want and were told, balances, the audit."""

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Text, text

from billing_server.store.schema import key_ordered_table, row_table
from billing_server.store.types import (
    Bytes,
    CanonicalJson,
    ExactDecimal,
    Flag,
    Instant,
    Int64,
    Key,
    SurrogateKey,
)

limit_account = key_ordered_table(
    "limit_account",
    Column("customer_id", Key, nullable=False),
    Column("limit_key", Key, nullable=False),
    Column("window_id", Key, nullable=False),
    Column("window_start", Instant),
    Column("window_end", Instant),
    Column("settled", Int64, nullable=False),
    Column("unreserved", Int64, nullable=False),
    Column("overrun", Int64, nullable=False),
    Column("estimate_error", Int64, nullable=False),
    Column("released", Int64, nullable=False),
    Column("maximum_granted", Int64, nullable=False),
    Column("threshold", ExactDecimal),
    PrimaryKeyConstraint("customer_id", "limit_key", "window_id", name="pk_limit_account"),
    # Of a rate: the bucket of what no agent holds; NULL: nothing was granted yet.
    Column("free_tokens", Int64),
    Column("free_rate", Int64),
    Column("free_burst", Int64),
    Column("free_time", Instant),
)
"""One row a window of a limit. Locking it guards the leases of the window."""

limit_bucket = key_ordered_table(
    "limit_bucket",
    Column("customer_id", Key, nullable=False),
    Column("limit_key", Key, nullable=False),
    Column("window_id", Key, nullable=False),
    Column("bucket", Instant, nullable=False),
    Column("settled", Int64, nullable=False),
    PrimaryKeyConstraint("customer_id", "limit_key", "window_id", "bucket", name="pk_limit_bucket"),
)
"""Use of rolling windows by bucket."""

allowance_use = key_ordered_table(
    "allowance_use",
    Column("customer_id", Key, nullable=False),
    Column("limit_key", Key, nullable=False),
    Column("window_id", Key, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    Column("used", Int64, nullable=False),
    PrimaryKeyConstraint(
        "customer_id", "limit_key", "window_id", "agent_ref", name="pk_allowance_use"
    ),
)
"""What offline allowances bore of windows, by disk: the part of the bound that is known."""

Index("ix_allowance_use_agent", allowance_use.c.agent_ref)

lease = row_table(
    "lease",
    Column("lease_id", Bytes, primary_key=True),
    Column("customer_id", Key, nullable=False),
    # Empty where only a debit has named the lease: its agent has not told of it yet.
    Column("limit_key", Key, nullable=False),
    Column("window_id", Key, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    Column("state", Text, nullable=False),
    Column("granted", Int64, nullable=False),
    Column("returned", Int64, nullable=False),
    Column("settled", Int64, nullable=False),
    Column("consumed", Int64, nullable=False),
    Column("held", Int64, nullable=False),
    Column("recall_no", Int64, nullable=False),
    Column("answered_recall_no", Int64, nullable=False),
    Column("rate_per_minute", Int64, nullable=False),
    Column("burst", Int64, nullable=False),
    Column("expire_time", Instant),
    Column("report_time", Instant),
    Column("create_time", Instant, nullable=False),
    CheckConstraint("state IN ('live', 'reclaimed', 'written_off', 'closed')", name="state"),
    # Number of the sync that told the agent of its latest change; NULL: not told yet.
    Column("told_in", Int64, server_default=text("0")),
)
"""Shares of windows that agents hold."""

_IS_OPEN = "state <> 'closed'"
Index(
    "ix_lease_window",
    lease.c.customer_id,
    lease.c.limit_key,
    lease.c.window_id,
    sqlite_where=text(_IS_OPEN),
    postgresql_where=text(_IS_OPEN),
)
LEASE_MAY_BE_TOLD = "state <> 'closed' OR told_in IS NULL OR told_in <> 0"
"""Leases of which an agent may have to be told. The closed ones of weeks that it has heard of are
many and left out: queries say this literally, so that the index serves them."""
Index(
    "ix_lease_agent",
    lease.c.agent_ref,
    sqlite_where=text(LEASE_MAY_BE_TOLD),
    postgresql_where=text(LEASE_MAY_BE_TOLD),
)

lease_want = key_ordered_table(
    "lease_want",
    Column("customer_id", Key, nullable=False),
    Column("limit_key", Key, nullable=False),
    Column("agent_ref", Int64, nullable=False),
    Column("demand_per_second", Int64, nullable=False),
    Column("largest_call", Int64, nullable=False),
    Column("outage_float", Int64, nullable=False),
    Column("is_urgent", Flag, nullable=False),
    Column("update_time", Instant, nullable=False),
    PrimaryKeyConstraint("customer_id", "limit_key", "agent_ref", name="pk_lease_want"),
)
"""What agents last said that they would like to hold."""

Index("ix_lease_want_agent", lease_want.c.agent_ref)

terms_watch = key_ordered_table(
    "terms_watch",
    Column("agent_ref", Int64, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("terms_revision", Int64, nullable=False),
    Column("terms_digest", Text, nullable=False),
    Column("catalog_revision", Int64, nullable=False),
    Column("customer_revision", Int64, nullable=False),
    Column("valid_until", Instant),
    PrimaryKeyConstraint("agent_ref", "customer_id", name="pk_terms_watch"),
)
"""Customers whose limits an agent was told, and what it was told last."""

Index("ix_terms_watch_customer", terms_watch.c.customer_id)

settled_elsewhere = key_ordered_table(
    "settled_elsewhere",
    Column("agent_ref", Int64, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("reservation_id", Key, nullable=False),
    PrimaryKeyConstraint("agent_ref", "customer_id", "reservation_id", name="pk_settled_elsewhere"),
    # Number of the sync that told the agent of it; NULL: not told yet.
    Column("told_in", Int64),
)
"""Reservations that were settled at another agent: whoever holds them is to drop the hold."""

repeated_debit = key_ordered_table(
    "repeated_debit",
    Column("lease_id", Bytes, nullable=False),
    Column("event_id", Key, nullable=False),
    # When its agent received the event, in microseconds since 1970 UTC.
    Column("receive_time", Int64, nullable=False),
    Column("amount", Int64, nullable=False),
    # Which of several such debits that came in one row of the agent's.
    Column("ordinal", Int64, nullable=False),
    PrimaryKeyConstraint(
        "lease_id", "event_id", "receive_time", "amount", "ordinal", name="pk_repeated_debit"
    ),
)
"""Debits of leases by events that were counted already, taken back; kept as long as the lease."""

threshold_event = row_table(
    "threshold_event",
    Column("event_no", SurrogateKey, primary_key=True, autoincrement=True),
    Column("customer_id", Key, nullable=False),
    Column("limit_key", Key, nullable=False),
    Column("window_id", Key, nullable=False),
    Column("share", ExactDecimal, nullable=False),
    Column("direction", Text, nullable=False),
    Column("used", Int64, nullable=False),
    Column("maximum", Int64, nullable=False),
    Column("event_time", Instant, nullable=False),
    CheckConstraint("direction IN ('rising', 'falling')", name="direction"),
)
"""Shares of limits that were passed: once for each threshold, window and direction."""

Index("ix_threshold_event_customer", threshold_event.c.customer_id, threshold_event.c.event_no)

balance_entry = row_table(
    "balance_entry",
    Column("entry_id", Key, primary_key=True),
    Column("customer_id", Key, nullable=False),
    # In micro-units of the customer's currency; negative: taken.
    Column("amount", Int64, nullable=False),
    Column("note", Text, nullable=False),
    Column("create_time", Instant, nullable=False),
)
"""Money added to prepaid balances."""

Index("ix_balance_entry_customer", balance_entry.c.customer_id)

audit_entry = row_table(
    "audit_entry",
    Column("entry_no", SurrogateKey, primary_key=True, autoincrement=True),
    Column("actor", Text, nullable=False),
    Column("action", Key, nullable=False),
    Column("subject", Key, nullable=False),
    Column("detail", CanonicalJson, nullable=False),
    Column("create_time", Instant, nullable=False),
)
"""What was done by whom; never changed."""
