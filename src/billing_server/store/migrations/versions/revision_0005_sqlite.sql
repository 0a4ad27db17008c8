ALTER TABLE meter ADD COLUMN keeps_readings INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE meter ADD COLUMN money_quantities TEXT DEFAULT '[]' NOT NULL;
ALTER TABLE usage_bucket ADD COLUMN last_time INTEGER;
ALTER TABLE usage_bucket ADD COLUMN last_event_id TEXT;
CREATE INDEX ix_usage_event_time ON usage_event (event_time, customer_id);
CREATE TEMPORARY TABLE old_running_charge AS SELECT * FROM running_charge;
DROP TABLE running_charge;
CREATE TABLE running_charge (
customer_id TEXT NOT NULL,
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
price_key TEXT NOT NULL,
segment INTEGER DEFAULT 0 NOT NULL,
group_key TEXT DEFAULT '' NOT NULL,
quantity TEXT NOT NULL,
amount_exact TEXT NOT NULL,
amount_minor INTEGER NOT NULL,
value_count INTEGER DEFAULT 0 NOT NULL,
last_time INTEGER,
last_event_id TEXT,
CONSTRAINT pk_running_charge PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment, group_key)
)
STRICT;
INSERT INTO running_charge (customer_id, subscription_id, period_start, price_key, segment, quantity, amount_exact, amount_minor)
SELECT customer_id, subscription_id, period_start, price_key, segment, quantity, amount_exact, amount_minor FROM old_running_charge;
DROP TABLE old_running_charge;
CREATE TABLE charge_value (
customer_id TEXT NOT NULL,
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
price_key TEXT NOT NULL,
segment INTEGER NOT NULL,
group_key TEXT NOT NULL,
value TEXT NOT NULL,
CONSTRAINT pk_charge_value PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment, group_key, value)
)
WITHOUT ROWID,
STRICT;
CREATE TABLE usage_reading (
customer_id TEXT NOT NULL,
series_id INTEGER NOT NULL,
event_time INTEGER NOT NULL,
event_id TEXT NOT NULL,
value INTEGER NOT NULL,
is_change INTEGER DEFAULT '0' NOT NULL,
money TEXT,
CONSTRAINT pk_usage_reading PRIMARY KEY (customer_id, series_id, event_time, event_id)
)
WITHOUT ROWID,
STRICT;
CREATE TABLE usage_correction (
event_id TEXT NOT NULL,
customer_id TEXT NOT NULL,
version INTEGER NOT NULL,
kind TEXT NOT NULL,
quantities TEXT,
reason TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_usage_correction PRIMARY KEY (event_id, customer_id, version),
CONSTRAINT ck_usage_correction_kind CHECK (kind IN ('void', 'amend'))
)
WITHOUT ROWID,
STRICT;
CREATE TABLE usage_adjustment (
id TEXT NOT NULL,
customer_id TEXT NOT NULL,
meter_key TEXT NOT NULL,
dimensions TEXT NOT NULL,
event_time INTEGER NOT NULL,
value INTEGER NOT NULL,
reason TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_usage_adjustment PRIMARY KEY (id)
)
STRICT;
CREATE INDEX ix_usage_adjustment_time ON usage_adjustment (event_time, customer_id);
CREATE INDEX ix_usage_adjustment_customer ON usage_adjustment (customer_id, create_time);
