CREATE TABLE allowance_use (
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
window_id TEXT NOT NULL,
agent_ref INTEGER NOT NULL,
used INTEGER NOT NULL,
CONSTRAINT pk_allowance_use PRIMARY KEY (customer_id, limit_key, window_id, agent_ref)
)
WITHOUT ROWID, STRICT;
CREATE INDEX ix_allowance_use_agent ON allowance_use (agent_ref);
