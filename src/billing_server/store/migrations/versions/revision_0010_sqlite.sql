CREATE TABLE charge_event_state (
customer_id TEXT NOT NULL,
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
price_key TEXT NOT NULL,
segment INTEGER NOT NULL,
group_key TEXT NOT NULL,
state TEXT NOT NULL,
CONSTRAINT pk_charge_event_state PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment, group_key)
)
WITHOUT ROWID,
STRICT;
