CREATE TABLE allowance_use (
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
window_id TEXT COLLATE "C" NOT NULL,
agent_ref BIGINT NOT NULL,
used BIGINT NOT NULL,
CONSTRAINT pk_allowance_use PRIMARY KEY (customer_id, limit_key, window_id, agent_ref)
);
CREATE INDEX ix_allowance_use_agent ON allowance_use (agent_ref);
