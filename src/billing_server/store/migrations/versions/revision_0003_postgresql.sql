ALTER TABLE agent ADD COLUMN sync_nonce BYTEA;
ALTER TABLE agent ADD COLUMN previous_sync_nonce BYTEA;
ALTER TABLE agent ADD COLUMN sync_time BIGINT;
ALTER TABLE agent ADD COLUMN session_incarnation TEXT;
ALTER TABLE agent ADD COLUMN is_ephemeral BOOLEAN DEFAULT '0' NOT NULL;
ALTER TABLE agent ADD COLUMN forget_time BIGINT;
CREATE TABLE audit_entry (
entry_no BIGSERIAL NOT NULL,
actor TEXT NOT NULL,
action TEXT COLLATE "C" NOT NULL,
subject TEXT COLLATE "C" NOT NULL,
detail TEXT NOT NULL,
create_time BIGINT NOT NULL,
CONSTRAINT pk_audit_entry PRIMARY KEY (entry_no)
);
CREATE TABLE balance_entry (
entry_id TEXT COLLATE "C" NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
amount BIGINT NOT NULL,
note TEXT NOT NULL,
create_time BIGINT NOT NULL,
CONSTRAINT pk_balance_entry PRIMARY KEY (entry_id)
);
CREATE INDEX ix_balance_entry_customer ON balance_entry (customer_id);
CREATE TABLE lease (
lease_id BYTEA NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
window_id TEXT COLLATE "C" NOT NULL,
agent_ref BIGINT NOT NULL,
state TEXT NOT NULL,
granted BIGINT NOT NULL,
returned BIGINT NOT NULL,
settled BIGINT NOT NULL,
consumed BIGINT NOT NULL,
held BIGINT NOT NULL,
recall_no BIGINT NOT NULL,
answered_recall_no BIGINT NOT NULL,
rate_per_minute BIGINT NOT NULL,
burst BIGINT NOT NULL,
expire_time BIGINT,
report_time BIGINT,
create_time BIGINT NOT NULL,
CONSTRAINT pk_lease PRIMARY KEY (lease_id),
CONSTRAINT ck_lease_state CHECK (state IN ('live', 'reclaimed', 'written_off', 'closed'))
);
CREATE INDEX ix_lease_agent ON lease (agent_ref) WHERE state <> 'closed';
CREATE INDEX ix_lease_window ON lease (customer_id, limit_key, window_id) WHERE state <> 'closed';
CREATE TABLE lease_want (
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
agent_ref BIGINT NOT NULL,
demand_per_second BIGINT NOT NULL,
largest_call BIGINT NOT NULL,
outage_float BIGINT NOT NULL,
is_urgent BOOLEAN NOT NULL,
update_time BIGINT NOT NULL,
CONSTRAINT pk_lease_want PRIMARY KEY (customer_id, limit_key, agent_ref)
);
CREATE INDEX ix_lease_want_agent ON lease_want (agent_ref);
CREATE TABLE limit_account (
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
window_id TEXT COLLATE "C" NOT NULL,
window_start BIGINT,
window_end BIGINT,
settled BIGINT NOT NULL,
unreserved BIGINT NOT NULL,
overrun BIGINT NOT NULL,
estimate_error BIGINT NOT NULL,
released BIGINT NOT NULL,
maximum_granted BIGINT NOT NULL,
threshold NUMERIC,
CONSTRAINT pk_limit_account PRIMARY KEY (customer_id, limit_key, window_id)
);
CREATE TABLE limit_bucket (
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
window_id TEXT COLLATE "C" NOT NULL,
bucket BIGINT NOT NULL,
settled BIGINT NOT NULL,
CONSTRAINT pk_limit_bucket PRIMARY KEY (customer_id, limit_key, window_id, bucket)
);
CREATE TABLE settled_elsewhere (
agent_ref BIGINT NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
reservation_id TEXT COLLATE "C" NOT NULL,
CONSTRAINT pk_settled_elsewhere PRIMARY KEY (agent_ref, customer_id, reservation_id)
);
CREATE TABLE terms_watch (
agent_ref BIGINT NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
terms_revision BIGINT NOT NULL,
terms_digest TEXT NOT NULL,
catalog_revision BIGINT NOT NULL,
customer_revision BIGINT NOT NULL,
valid_until BIGINT,
CONSTRAINT pk_terms_watch PRIMARY KEY (agent_ref, customer_id)
);
CREATE INDEX ix_terms_watch_customer ON terms_watch (customer_id);
CREATE TABLE threshold_event (
event_no BIGSERIAL NOT NULL,
customer_id TEXT COLLATE "C" NOT NULL,
limit_key TEXT COLLATE "C" NOT NULL,
window_id TEXT COLLATE "C" NOT NULL,
share NUMERIC NOT NULL,
direction TEXT NOT NULL,
used BIGINT NOT NULL,
maximum BIGINT NOT NULL,
event_time BIGINT NOT NULL,
CONSTRAINT pk_threshold_event PRIMARY KEY (event_no),
CONSTRAINT ck_threshold_event_direction CHECK (direction IN ('rising', 'falling'))
);
CREATE INDEX ix_threshold_event_customer ON threshold_event (customer_id, event_no);
