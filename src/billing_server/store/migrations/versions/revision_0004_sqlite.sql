CREATE TABLE alert (
alert_id INTEGER NOT NULL,
kind TEXT NOT NULL,
customer_id TEXT NOT NULL,
series_id INTEGER NOT NULL,
usage_time INTEGER NOT NULL,
close_time INTEGER,
CONSTRAINT pk_alert PRIMARY KEY (alert_id)
)
STRICT;
CREATE INDEX ix_alert_customer ON alert (customer_id, alert_id);
CREATE UNIQUE INDEX uq_alert_open ON alert (kind, series_id) WHERE close_time IS NULL;
