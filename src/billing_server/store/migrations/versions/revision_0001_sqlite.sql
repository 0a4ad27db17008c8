CREATE TABLE agent (
ref INTEGER NOT NULL,
agent_id TEXT NOT NULL,
name TEXT NOT NULL,
token_sha256 TEXT NOT NULL,
disk_id BLOB,
session_no INTEGER DEFAULT 0 NOT NULL,
session_nonce BLOB,
sync_no INTEGER DEFAULT 0 NOT NULL,
applied_seq INTEGER DEFAULT 0 NOT NULL,
oldest_unshipped_event_time INTEGER,
last_seen INTEGER,
agent_version TEXT,
create_time INTEGER NOT NULL,
revoke_time INTEGER,
CONSTRAINT pk_agent PRIMARY KEY (ref),
CONSTRAINT uq_agent_agent_id UNIQUE (agent_id),
CONSTRAINT uq_agent_name UNIQUE (name),
CONSTRAINT uq_agent_token_sha256 UNIQUE (token_sha256)
)
STRICT;
CREATE TABLE api_key (
name TEXT NOT NULL,
key_sha256 TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_api_key PRIMARY KEY (name),
CONSTRAINT uq_api_key_key_sha256 UNIQUE (key_sha256)
)
STRICT;
CREATE TABLE catalog_state (
id INTEGER NOT NULL,
revision INTEGER NOT NULL,
CONSTRAINT pk_catalog_state PRIMARY KEY (id),
CONSTRAINT ck_catalog_state_single CHECK (id = 1)
)
STRICT;
CREATE TABLE customer (
id TEXT NOT NULL,
name TEXT NOT NULL,
currency TEXT,
timezone TEXT NOT NULL,
content TEXT NOT NULL,
revision INTEGER DEFAULT 1 NOT NULL,
create_time INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_customer PRIMARY KEY (id)
)
STRICT;
CREATE TABLE idempotency_key (
"key" TEXT NOT NULL,
request_sha256 TEXT NOT NULL,
response_code INTEGER NOT NULL,
response_body TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_idempotency_key PRIMARY KEY ("key")
)
STRICT;
CREATE INDEX ix_idempotency_key_create_time ON idempotency_key (create_time);
CREATE TABLE meter (
"key" TEXT NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_meter PRIMARY KEY ("key")
)
STRICT;
CREATE TABLE number_series (
"key" TEXT NOT NULL,
prefix TEXT NOT NULL,
next_number INTEGER NOT NULL,
CONSTRAINT pk_number_series PRIMARY KEY ("key")
)
STRICT;
CREATE TABLE plan_version (
"key" TEXT NOT NULL,
version INTEGER NOT NULL,
effective_from INTEGER NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_plan_version PRIMARY KEY ("key", version)
)
STRICT;
CREATE TABLE running_charge (
customer_id TEXT NOT NULL,
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
price_key TEXT NOT NULL,
segment INTEGER DEFAULT 0 NOT NULL,
quantity TEXT NOT NULL,
amount_exact TEXT NOT NULL,
amount_minor INTEGER NOT NULL,
CONSTRAINT pk_running_charge PRIMARY KEY (customer_id, subscription_id, period_start, price_key, segment)
)
STRICT;
CREATE TABLE server_state (
id INTEGER NOT NULL,
incarnation TEXT NOT NULL,
clock_kind TEXT,
test_clock INTEGER,
create_time INTEGER NOT NULL,
CONSTRAINT pk_server_state PRIMARY KEY (id),
CONSTRAINT ck_server_state_single CHECK (id = 1),
CONSTRAINT ck_server_state_clock_kind CHECK (clock_kind IN ('real', 'test'))
)
STRICT;
CREATE TABLE setting (
"key" TEXT NOT NULL,
value TEXT NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_setting PRIMARY KEY ("key")
)
STRICT;
CREATE TABLE usage_bucket (
minute INTEGER NOT NULL,
customer_id TEXT NOT NULL,
series_id INTEGER NOT NULL,
value INTEGER NOT NULL,
event_count INTEGER NOT NULL,
CONSTRAINT pk_usage_bucket PRIMARY KEY (minute, customer_id, series_id)
)
WITHOUT ROWID,
STRICT;
CREATE INDEX ix_usage_bucket_customer ON usage_bucket (customer_id, minute, series_id);
CREATE TABLE usage_conflict (
event_id TEXT NOT NULL,
customer_id TEXT NOT NULL,
content_sha256 BLOB NOT NULL,
agent_ref INTEGER NOT NULL,
seq INTEGER NOT NULL,
receive_time INTEGER NOT NULL,
detect_time INTEGER NOT NULL,
payload BLOB NOT NULL,
CONSTRAINT pk_usage_conflict PRIMARY KEY (event_id, customer_id, content_sha256)
)
STRICT;
CREATE TABLE usage_event (
event_id TEXT NOT NULL,
customer_id TEXT NOT NULL,
event_time INTEGER NOT NULL,
receive_time INTEGER NOT NULL,
agent_ref INTEGER NOT NULL,
seq INTEGER NOT NULL,
payload BLOB NOT NULL,
quarantine_reason TEXT,
quarantine_detail TEXT,
CONSTRAINT pk_usage_event PRIMARY KEY (event_id, customer_id)
)
WITHOUT ROWID,
STRICT;
CREATE INDEX ix_usage_event_quarantined ON usage_event (customer_id, event_id) WHERE quarantine_reason IS NOT NULL;
CREATE TABLE usage_series (
series_id INTEGER NOT NULL,
customer_id TEXT NOT NULL,
meter_key TEXT NOT NULL,
dimensions TEXT NOT NULL,
CONSTRAINT pk_usage_series PRIMARY KEY (series_id),
CONSTRAINT uq_usage_series_customer_id_meter_key_dimensions UNIQUE (customer_id, meter_key, dimensions)
)
STRICT;
CREATE TABLE declared_loss (
id INTEGER NOT NULL,
agent_ref INTEGER NOT NULL,
from_seq INTEGER NOT NULL,
to_seq INTEGER NOT NULL,
declare_time INTEGER NOT NULL,
CONSTRAINT pk_declared_loss PRIMARY KEY (id),
CONSTRAINT fk_declared_loss_agent_ref_agent FOREIGN KEY(agent_ref) REFERENCES agent (ref)
)
STRICT;
CREATE TABLE invoice (
id TEXT NOT NULL,
number TEXT,
customer_id TEXT NOT NULL,
subscription_id TEXT NOT NULL,
reason TEXT NOT NULL,
cause TEXT NOT NULL,
state TEXT NOT NULL,
currency TEXT NOT NULL,
period_start INTEGER,
period_end INTEGER,
issue_time INTEGER,
due_time INTEGER,
total_minor INTEGER NOT NULL,
amount_due_minor INTEGER NOT NULL,
inputs_sha256 TEXT NOT NULL,
replaces TEXT,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_invoice PRIMARY KEY (id),
CONSTRAINT ck_invoice_state CHECK (state IN ('draft', 'finalized', 'paid', 'partially_paid', 'uncollectible', 'void')),
CONSTRAINT uq_invoice_number UNIQUE (number),
CONSTRAINT fk_invoice_customer_id_customer FOREIGN KEY(customer_id) REFERENCES customer (id)
)
STRICT;
CREATE INDEX ix_invoice_customer ON invoice (customer_id, create_time);
CREATE UNIQUE INDEX uq_invoice_cause ON invoice (customer_id, subscription_id, reason, cause) WHERE state <> 'void';
CREATE TABLE subscription (
id TEXT NOT NULL,
customer_id TEXT NOT NULL,
plan_key TEXT NOT NULL,
plan_version INTEGER NOT NULL,
start_time INTEGER NOT NULL,
end_time INTEGER,
anchor INTEGER,
quantities TEXT NOT NULL,
content TEXT NOT NULL,
is_start_invoice_due INTEGER DEFAULT '0' NOT NULL,
rating_failed_reason TEXT,
create_time INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_subscription PRIMARY KEY (id),
CONSTRAINT fk_subscription_plan_key_plan_version_plan_version FOREIGN KEY(plan_key, plan_version) REFERENCES plan_version ("key", version),
CONSTRAINT fk_subscription_customer_id_customer FOREIGN KEY(customer_id) REFERENCES customer (id)
)
STRICT;
CREATE INDEX ix_subscription_customer ON subscription (customer_id, start_time);
CREATE INDEX ix_subscription_start_due ON subscription (start_time, id) WHERE is_start_invoice_due;
CREATE TABLE billing_period (
subscription_id TEXT NOT NULL,
period_start INTEGER NOT NULL,
period_end INTEGER NOT NULL,
customer_id TEXT NOT NULL,
state TEXT NOT NULL,
has_late_usage INTEGER DEFAULT '0' NOT NULL,
late_sequence INTEGER DEFAULT 0 NOT NULL,
close_time INTEGER,
CONSTRAINT pk_billing_period PRIMARY KEY (subscription_id, period_start),
CONSTRAINT ck_billing_period_state CHECK (state IN ('running', 'invoiced')),
CONSTRAINT fk_billing_period_subscription_id_subscription FOREIGN KEY(subscription_id) REFERENCES subscription (id)
)
STRICT;
CREATE INDEX ix_billing_period_customer ON billing_period (customer_id);
CREATE INDEX ix_billing_period_state ON billing_period (state, period_end);
CREATE TABLE invoice_line (
invoice_id TEXT NOT NULL,
line_index INTEGER NOT NULL,
charge_key TEXT,
subscription_id TEXT,
price_key TEXT,
kind TEXT NOT NULL,
period_start INTEGER NOT NULL,
period_end INTEGER NOT NULL,
amount_minor INTEGER NOT NULL,
content TEXT NOT NULL,
CONSTRAINT pk_invoice_line PRIMARY KEY (invoice_id, line_index),
CONSTRAINT fk_invoice_line_invoice_id_invoice FOREIGN KEY(invoice_id) REFERENCES invoice (id),
CONSTRAINT uq_invoice_line_charge_key UNIQUE (charge_key)
)
STRICT;
CREATE INDEX ix_invoice_line_subscription ON invoice_line (subscription_id, period_start);
