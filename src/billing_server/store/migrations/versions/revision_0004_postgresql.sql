CREATE TABLE alert (
alert_id BIGSERIAL NOT NULL,
kind TEXT NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
series_id BIGINT NOT NULL,
usage_time BIGINT NOT NULL,
close_time BIGINT,
CONSTRAINT pk_alert PRIMARY KEY (alert_id)
);
CREATE INDEX ix_alert_customer ON alert (customer_id, alert_id);
CREATE UNIQUE INDEX uq_alert_open ON alert (kind, series_id) WHERE close_time IS NULL;
