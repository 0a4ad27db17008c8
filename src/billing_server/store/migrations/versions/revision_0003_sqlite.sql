ALTER TABLE agent ADD COLUMN sync_nonce BLOB;
ALTER TABLE agent ADD COLUMN previous_sync_nonce BLOB;
ALTER TABLE agent ADD COLUMN sync_time INTEGER;
ALTER TABLE agent ADD COLUMN session_incarnation TEXT;
ALTER TABLE agent ADD COLUMN is_ephemeral INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE agent ADD COLUMN forget_time INTEGER;
CREATE TABLE audit_entry (
entry_no INTEGER NOT NULL,
actor TEXT NOT NULL,
action TEXT NOT NULL,
subject TEXT NOT NULL,
detail TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_audit_entry PRIMARY KEY (entry_no)
)
STRICT;
CREATE TABLE balance_entry (
entry_id TEXT NOT NULL,
customer_id TEXT NOT NULL,
amount INTEGER NOT NULL,
note TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_balance_entry PRIMARY KEY (entry_id)
)
STRICT;
CREATE INDEX ix_balance_entry_customer ON balance_entry (customer_id);
CREATE TABLE lease (
lease_id BLOB NOT NULL,
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
window_id TEXT NOT NULL,
agent_ref INTEGER NOT NULL,
state TEXT NOT NULL,
granted INTEGER NOT NULL,
returned INTEGER NOT NULL,
settled INTEGER NOT NULL,
consumed INTEGER NOT NULL,
held INTEGER NOT NULL,
recall_no INTEGER NOT NULL,
answered_recall_no INTEGER NOT NULL,
rate_per_minute INTEGER NOT NULL,
burst INTEGER NOT NULL,
expire_time INTEGER,
report_time INTEGER,
create_time INTEGER NOT NULL,
CONSTRAINT pk_lease PRIMARY KEY (lease_id),
CONSTRAINT ck_lease_state CHECK (state IN ('live', 'reclaimed', 'written_off', 'closed'))
)
STRICT;
CREATE INDEX ix_lease_agent ON lease (agent_ref) WHERE state <> 'closed';
CREATE INDEX ix_lease_window ON lease (customer_id, limit_key, window_id) WHERE state <> 'closed';
CREATE TABLE lease_want (
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
agent_ref INTEGER NOT NULL,
demand_per_second INTEGER NOT NULL,
largest_call INTEGER NOT NULL,
outage_float INTEGER NOT NULL,
is_urgent INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_lease_want PRIMARY KEY (customer_id, limit_key, agent_ref)
)
WITHOUT ROWID,
STRICT;
CREATE INDEX ix_lease_want_agent ON lease_want (agent_ref);
CREATE TABLE limit_account (
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
window_id TEXT NOT NULL,
window_start INTEGER,
window_end INTEGER,
settled INTEGER NOT NULL,
unreserved INTEGER NOT NULL,
overrun INTEGER NOT NULL,
estimate_error INTEGER NOT NULL,
released INTEGER NOT NULL,
maximum_granted INTEGER NOT NULL,
threshold TEXT,
CONSTRAINT pk_limit_account PRIMARY KEY (customer_id, limit_key, window_id)
)
WITHOUT ROWID,
STRICT;
CREATE TABLE limit_bucket (
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
window_id TEXT NOT NULL,
bucket INTEGER NOT NULL,
settled INTEGER NOT NULL,
CONSTRAINT pk_limit_bucket PRIMARY KEY (customer_id, limit_key, window_id, bucket)
)
WITHOUT ROWID,
STRICT;
CREATE TABLE settled_elsewhere (
agent_ref INTEGER NOT NULL,
customer_id TEXT NOT NULL,
reservation_id TEXT NOT NULL,
CONSTRAINT pk_settled_elsewhere PRIMARY KEY (agent_ref, customer_id, reservation_id)
)
WITHOUT ROWID,
STRICT;
CREATE TABLE terms_watch (
agent_ref INTEGER NOT NULL,
customer_id TEXT NOT NULL,
terms_revision INTEGER NOT NULL,
terms_digest TEXT NOT NULL,
catalog_revision INTEGER NOT NULL,
customer_revision INTEGER NOT NULL,
valid_until INTEGER,
CONSTRAINT pk_terms_watch PRIMARY KEY (agent_ref, customer_id)
)
WITHOUT ROWID,
STRICT;
CREATE INDEX ix_terms_watch_customer ON terms_watch (customer_id);
CREATE TABLE threshold_event (
event_no INTEGER NOT NULL,
customer_id TEXT NOT NULL,
limit_key TEXT NOT NULL,
window_id TEXT NOT NULL,
share TEXT NOT NULL,
direction TEXT NOT NULL,
used INTEGER NOT NULL,
maximum INTEGER NOT NULL,
event_time INTEGER NOT NULL,
CONSTRAINT pk_threshold_event PRIMARY KEY (event_no),
CONSTRAINT ck_threshold_event_direction CHECK (direction IN ('rising', 'falling'))
)
STRICT;
CREATE INDEX ix_threshold_event_customer ON threshold_event (customer_id, event_no);
