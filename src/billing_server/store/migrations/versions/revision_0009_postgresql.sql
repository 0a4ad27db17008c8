CREATE TABLE late_fact (
id BIGSERIAL NOT NULL,
subscription_id TEXT COLLATE "C" NOT NULL,
period_start BIGINT NOT NULL,
event_time BIGINT NOT NULL,
fact_id TEXT COLLATE "C" NOT NULL,
kind TEXT NOT NULL,
invoice_number TEXT COLLATE "C",
CONSTRAINT pk_late_fact PRIMARY KEY (id),
CONSTRAINT ck_late_fact_kind CHECK (kind IN ('event', 'correction', 'adjustment'))
);
CREATE INDEX ix_late_fact_period ON late_fact (subscription_id, period_start, event_time, fact_id);
