ALTER TABLE agent ADD COLUMN parent_ref INTEGER;
ALTER TABLE agent ADD COLUMN reported_next_seq INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE declared_loss ADD COLUMN cause TEXT DEFAULT 'declared' NOT NULL;
ALTER TABLE server_state ADD COLUMN origin_mark TEXT;
ALTER TABLE server_state ADD COLUMN incarnation_time INTEGER;
CREATE TABLE agent_customer (
customer_id TEXT NOT NULL,
agent_ref INTEGER NOT NULL,
carry_time INTEGER NOT NULL,
CONSTRAINT pk_agent_customer PRIMARY KEY (customer_id, agent_ref)
)
WITHOUT ROWID,
STRICT;
