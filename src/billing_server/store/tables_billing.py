"""Tables of billing: catalog, customers, subscriptions, charges, periods, invoices."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    literal_column,
    text,
)

from billing_server.store.schema import key_ordered_table, row_table
from billing_server.store.types import (
    CanonicalJson,
    DocumentJson,
    ExactDecimal,
    Flag,
    Instant,
    Int64,
    Key,
    WideInteger,
)

meter = row_table(
    "meter",
    Column("key", Key, primary_key=True),
    Column("content", CanonicalJson, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("update_time", Instant, nullable=False),
    # Whether what each event brings is kept in usage_reading: its order matters.
    Column("keeps_readings", Flag, nullable=False, server_default=text("'0'")),
    # Names of the quantities that prices on the meter read as money, kept with the readings.
    Column("money_quantities", CanonicalJson, nullable=False, server_default=text("'[]'")),
)
"""Meters; `content` is the domain's serialized form."""

plan_version = row_table(
    "plan_version",
    Column("key", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_from", Instant, nullable=False),
    Column("content", CanonicalJson, nullable=False),
    Column("create_time", Instant, nullable=False),
    PrimaryKeyConstraint("key", "version", name="pk_plan_version"),
)
"""Versions of plans, never changed once written."""

addon_version = row_table(
    "addon_version",
    Column("key", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("content", CanonicalJson, nullable=False),
    Column("create_time", Instant, nullable=False),
    PrimaryKeyConstraint("key", "version", name="pk_addon_version"),
)
"""Versions of add-ons, never changed once written."""

tax_rate = row_table(
    "tax_rate",
    Column("key", Key, primary_key=True),
    Column("content", CanonicalJson, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("update_time", Instant, nullable=False),
)
"""Tax rates; invoices keep copies, so that a row may change."""

customer = row_table(
    "customer",
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", Text),
    Column("timezone", Text, nullable=False),
    # Whatever else the domain keeps of a customer: country, e-mail, tax id.
    Column("content", CanonicalJson, nullable=False),
    # Rises with every change of the customer or of one of its subscriptions.
    Column("revision", Int64, nullable=False, server_default=text("1")),
    Column("create_time", Instant, nullable=False),
    Column("update_time", Instant, nullable=False),
)
"""Customers. Locking a customer's row guards its usage, subscriptions, periods and invoices."""

subscription = row_table(
    "subscription",
    Column("id", Key, primary_key=True),
    Column("customer_id", Key, ForeignKey("customer.id"), nullable=False),
    Column("plan_key", Key, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("start_time", Instant, nullable=False),
    Column("end_time", Instant),
    # The instant from which billing periods are counted; NULL: as the plan says.
    Column("anchor", Instant),
    Column("quantities", CanonicalJson, nullable=False),
    Column("content", CanonicalJson, nullable=False),
    # Whether fees in advance have still to be invoiced at the start.
    Column("is_start_invoice_due", Flag, nullable=False, server_default=text("'0'")),
    # NULL: rated. Else why rating failed; the usage is counted and rated again after the fix.
    Column("rating_failed_reason", Text),
    Column("create_time", Instant, nullable=False),
    Column("update_time", Instant, nullable=False),
    ForeignKeyConstraint(
        ["plan_key", "plan_version"],
        ["plan_version.key", "plan_version.version"],
    ),
)
"""Subscriptions; start, end and anchor are floored to the minute before they are stored."""

START_INVOICE_IS_DUE: ColumnElement[bool] = literal_column("subscription.is_start_invoice_due")
"""Holds for subscriptions whose start has still to be invoiced."""

Index("ix_subscription_customer", subscription.c.customer_id, subscription.c.start_time)
Index(
    # A query finds it only by the same words: SQLite takes the column `= 1` for something else.
    "ix_subscription_start_due",
    subscription.c.start_time,
    subscription.c.id,
    sqlite_where=subscription.c.is_start_invoice_due,
    postgresql_where=subscription.c.is_start_invoice_due,
)

_CHARGE_KEY = (
    "customer_id",
    "subscription_id",
    "period_start",
    "price_key",
    "segment",
    "group_key",
)
"""What names a running charge. Its group: the values of the dimensions that the price is grouped
by, as canonical JSON; empty: the whole."""

running_charge = row_table(
    "running_charge",
    Column("customer_id", Key, nullable=False),
    Column("subscription_id", Key, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("price_key", Key, nullable=False),
    Column("segment", Integer, nullable=False, server_default=text("0")),
    # Values of the dimensions that the price is grouped by, as canonical JSON; empty: the whole.
    Column("group_key", Key, nullable=False, server_default=text("''")),
    # Exact and without bounds, in the meter's smallest unit; for an average the sum of the values.
    Column("quantity", WideInteger, nullable=False),
    Column("amount_exact", ExactDecimal, nullable=False),
    Column("amount_minor", Int64, nullable=False),
    # How many values an average is of; 0 for other aggregations.
    Column("value_count", Int64, nullable=False, server_default=text("0")),
    # Of the event that brought the latest value; NULL for other aggregations.
    Column("last_time", Instant),
    Column("last_event_id", Key),
    PrimaryKeyConstraint(*_CHARGE_KEY, name="pk_running_charge"),
)
"""A cache: what each usage price of a running period comes to. Rebuilt from buckets at any time."""

charge_event_state = key_ordered_table(
    "charge_event_state",
    Column("customer_id", Key, nullable=False),
    Column("subscription_id", Key, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("price_key", Key, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint(*_CHARGE_KEY, name="pk_charge_event_state"),
)
"""Where the rating of a charge that is rated by event stopped; without a row it begins anew."""

charge_value = key_ordered_table(
    "charge_value",
    Column("customer_id", Key, nullable=False),
    Column("subscription_id", Key, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("price_key", Key, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("value", Key, nullable=False),
    PrimaryKeyConstraint(*_CHARGE_KEY, "value", name="pk_charge_value"),
)
"""A cache: the values that a running charge on a unique count has seen."""

billing_period = row_table(
    "billing_period",
    Column("subscription_id", Key, ForeignKey("subscription.id"), nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("customer_id", Key, nullable=False),
    Column("state", Text, nullable=False),
    Column("has_late_usage", Flag, nullable=False, server_default=text("'0'")),
    # Late invoices made for this period so far: the cause of the next one.
    Column("late_sequence", Integer, nullable=False, server_default=text("0")),
    Column("close_time", Instant),
    PrimaryKeyConstraint("subscription_id", "period_start", name="pk_billing_period"),
    CheckConstraint("state IN ('running', 'invoiced')", name="state"),
)
"""Periods of subscriptions; closed ones may still receive late usage."""

Index("ix_billing_period_state", billing_period.c.state, billing_period.c.period_end)
Index("ix_billing_period_customer", billing_period.c.customer_id)

invoice = row_table(
    "invoice",
    Column("id", Key, primary_key=True),
    # NULL while a draft: numbers are given at finalization, without gaps.
    Column("number", Key, unique=True),
    Column("customer_id", Key, ForeignKey("customer.id"), nullable=False),
    # A subscription's id, or `all`.
    Column("subscription_id", Key, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_start", Instant),
    Column("period_end", Instant),
    Column("issue_time", Instant),
    Column("due_time", Instant),
    Column("total_minor", Int64, nullable=False),
    Column("amount_due_minor", Int64, nullable=False),
    Column("inputs_sha256", Text, nullable=False),
    Column("replaces", Key),
    Column("content", DocumentJson, nullable=False),
    Column("create_time", Instant, nullable=False),
    CheckConstraint(
        "state IN ('draft', 'finalized', 'paid', 'partially_paid', 'uncollectible', 'void')",
        name="state",
    ),
)
"""Invoices; the content of a finalized one never changes."""

Index(
    "uq_invoice_cause",
    invoice.c.customer_id,
    invoice.c.subscription_id,
    invoice.c.reason,
    invoice.c.cause,
    unique=True,
    sqlite_where=text("state <> 'void'"),
    postgresql_where=text("state <> 'void'"),
)
Index("ix_invoice_customer", invoice.c.customer_id, invoice.c.create_time)

invoice_line = row_table(
    "invoice_line",
    Column("invoice_id", Key, ForeignKey("invoice.id"), nullable=False),
    Column("line_index", Integer, nullable=False),
    # An amount is invoiced once, whatever document carries it; NULL once the invoice is void.
    Column("charge_key", Key, unique=True),
    Column("subscription_id", Key),
    Column("price_key", Key),
    Column("kind", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("amount_minor", Int64, nullable=False),
    Column("content", DocumentJson, nullable=False),
    PrimaryKeyConstraint("invoice_id", "line_index", name="pk_invoice_line"),
)
"""Lines of invoices, for queries and for the unique charge key."""

Index("ix_invoice_line_subscription", invoice_line.c.subscription_id, invoice_line.c.period_start)

api_key = row_table(
    "api_key",
    Column("name", Key, primary_key=True),
    # In hexadecimal digits.
    Column("key_sha256", Key, nullable=False, unique=True),
    Column("create_time", Instant, nullable=False),
)
"""API keys, kept as hashes only."""

idempotency_key = row_table(
    "idempotency_key",
    Column("key", Key, primary_key=True),
    Column("request_sha256", Key, nullable=False),
    # The HTTP status of the answer; 0 while the request is being worked on.
    Column("response_code", Integer, nullable=False),
    Column("response_body", Text, nullable=False),
    Column("create_time", Instant, nullable=False),
)
"""Answers of POST requests, so that a repeat gets the same one."""

Index("ix_idempotency_key_create_time", idempotency_key.c.create_time)
