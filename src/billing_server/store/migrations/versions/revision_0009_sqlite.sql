CREATE TABLE late_fact (
id INTEGER NOT NULL,
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
event_time INTEGER NOT NULL,
fact_id TEXT NOT NULL,
kind TEXT NOT NULL,
invoice_number TEXT,
CONSTRAINT pk_late_fact PRIMARY KEY (id),
CONSTRAINT ck_late_fact_kind CHECK (kind IN ('event', 'correction', 'adjustment'))
)
STRICT;
CREATE INDEX ix_late_fact_period ON late_fact (subscription_id, period_start, event_time, fact_id);
