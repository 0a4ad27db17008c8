ALTER TABLE meter ADD COLUMN keeps_readings BOOLEAN DEFAULT '0' NOT NULL;
ALTER TABLE meter ADD COLUMN money_quantities TEXT DEFAULT '[]' NOT NULL;
ALTER TABLE usage_bucket ADD COLUMN last_time BIGINT;
ALTER TABLE usage_bucket ADD COLUMN last_event_id TEXT COLLATE "C";
CREATE INDEX ix_usage_event_time ON usage_event (event_time, customer_id);
ALTER TABLE running_charge ADD COLUMN group_key TEXT COLLATE "C" DEFAULT '' NOT NULL;
ALTER TABLE running_charge ADD COLUMN value_count BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE running_charge ADD COLUMN last_time BIGINT;
ALTER TABLE running_charge ADD COLUMN last_event_id TEXT COLLATE "C";
ALTER TABLE running_charge DROP CONSTRAINT pk_running_charge;
ALTER TABLE running_charge ADD CONSTRAINT pk_running_charge PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment, group_key);
CREATE TABLE charge_value (
customer_id TEXT COLLATE "C" NOT NULL,
subscription_id TEXT COLLATE "C" NOT NULL,
period_start BIGINT NOT NULL,
price_key TEXT COLLATE "C" NOT NULL,
segment INTEGER NOT NULL,
group_key TEXT COLLATE "C" NOT NULL,
value TEXT COLLATE "C" NOT NULL,
CONSTRAINT pk_charge_value PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment, group_key, value)
);
CREATE TABLE usage_reading (
customer_id TEXT COLLATE "C" NOT NULL,
series_id BIGINT NOT NULL,
event_time BIGINT NOT NULL,
event_id TEXT COLLATE "C" NOT NULL,
value BIGINT NOT NULL,
is_change BOOLEAN DEFAULT '0' NOT NULL,
money TEXT,
CONSTRAINT pk_usage_reading PRIMARY KEY (customer_id, series_id, event_time, event_id)
);
CREATE TABLE usage_correction (
event_id TEXT COLLATE "C" NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
version INTEGER NOT NULL,
kind TEXT NOT NULL,
quantities TEXT,
reason TEXT NOT NULL,
create_time BIGINT NOT NULL,
CONSTRAINT pk_usage_correction PRIMARY KEY (event_id, customer_id, version),
CONSTRAINT ck_usage_correction_kind CHECK (kind IN ('void', 'amend'))
);
CREATE TABLE usage_adjustment (
id TEXT COLLATE "C" NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
meter_key TEXT COLLATE "C" NOT NULL,
dimensions TEXT NOT NULL,
event_time BIGINT NOT NULL,
value BIGINT NOT NULL,
reason TEXT NOT NULL,
create_time BIGINT NOT NULL,
CONSTRAINT pk_usage_adjustment PRIMARY KEY (id)
);
CREATE INDEX ix_usage_adjustment_time ON usage_adjustment (event_time, customer_id);
CREATE INDEX ix_usage_adjustment_customer ON usage_adjustment (customer_id, create_time);
