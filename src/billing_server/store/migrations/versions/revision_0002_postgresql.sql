ALTER TABLE agent ADD COLUMN parent_ref BIGINT;
ALTER TABLE agent ADD COLUMN reported_next_seq BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE declared_loss ADD COLUMN cause TEXT DEFAULT 'declared' NOT NULL;
ALTER TABLE server_state ADD COLUMN origin_mark TEXT;
ALTER TABLE server_state ADD COLUMN incarnation_time BIGINT;
CREATE TABLE agent_customer (
customer_id TEXT COLLATE "C" NOT NULL,
agent_ref BIGINT NOT NULL,
carry_time BIGINT NOT NULL,
CONSTRAINT pk_agent_customer PRIMARY KEY (customer_id, agent_ref)
);
