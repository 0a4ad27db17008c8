BEGIN TRANSACTION;
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
revoke_time INTEGER, parent_ref INTEGER, reported_next_seq INTEGER DEFAULT 0 NOT NULL,
CONSTRAINT pk_agent PRIMARY KEY (ref),
CONSTRAINT uq_agent_agent_id UNIQUE (agent_id),
CONSTRAINT uq_agent_name UNIQUE (name),
CONSTRAINT uq_agent_token_sha256 UNIQUE (token_sha256)
)
STRICT;
INSERT INTO "agent" VALUES(1,'agt_ibax6pwqigc3rtbdwtgewfsn','host-1','724d90793f739d6acd5b1b0a977b7eb3398a739c5f1559b467e96a46bcc7f3af',X'EBEEBDF91664AFBBB59B99C249C59D5E',1,X'7A14D59FECBE16C2E04D804322B5B8E8',1,5,NULL,1793577600000000,'0.1.0',1790812800000000,NULL,NULL,6);
CREATE TABLE agent_customer (
customer_id TEXT NOT NULL,
agent_ref INTEGER NOT NULL,
carry_time INTEGER NOT NULL,
CONSTRAINT pk_agent_customer PRIMARY KEY (customer_id, agent_ref)
)
WITHOUT ROWID,
STRICT;
INSERT INTO "agent_customer" VALUES('acme',1,1793577600000000);
INSERT INTO "agent_customer" VALUES('globex',1,1793577600000000);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE api_key (
name TEXT NOT NULL,
key_sha256 TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_api_key PRIMARY KEY (name),
CONSTRAINT uq_api_key_key_sha256 UNIQUE (key_sha256)
)
STRICT;
INSERT INTO "api_key" VALUES('admin-a4cefe928dc4','a4cefe928dc422587b2328996f9fa922faa224372840379824b54a9e6d28b123',1790812800000000);
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
INSERT INTO "billing_period" VALUES('sub-acme',1790812800000000,1793491200000000,'acme','invoiced',0,0,1793494800000000);
INSERT INTO "billing_period" VALUES('sub-globex',1790812800000000,1790827200000000,'globex','invoiced',0,0,1790830800000000);
INSERT INTO "billing_period" VALUES('sub-globex',1790827200000000,1793505600000000,'globex','invoiced',0,0,1793509200000000);
INSERT INTO "billing_period" VALUES('sub-acme',1793491200000000,1796083200000000,'acme','running',0,0,NULL);
INSERT INTO "billing_period" VALUES('sub-globex',1793505600000000,1796101200000000,'globex','running',0,0,NULL);
CREATE TABLE catalog_state (
id INTEGER NOT NULL,
revision INTEGER NOT NULL,
CONSTRAINT pk_catalog_state PRIMARY KEY (id),
CONSTRAINT ck_catalog_state_single CHECK (id = 1)
)
STRICT;
INSERT INTO "catalog_state" VALUES(1,2);
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
INSERT INTO "customer" VALUES('acme','Acme','USD','UTC','{"country":"","email":"","purchase_order":"","tax_id":""}',2,1790812800000000,1790812800000000);
INSERT INTO "customer" VALUES('globex','Globex','USD','America/New_York','{"country":"","email":"","purchase_order":"","tax_id":""}',2,1790812800000000,1790812800000000);
CREATE TABLE declared_loss (
id INTEGER NOT NULL,
agent_ref INTEGER NOT NULL,
from_seq INTEGER NOT NULL,
to_seq INTEGER NOT NULL,
declare_time INTEGER NOT NULL, cause TEXT DEFAULT 'declared' NOT NULL,
CONSTRAINT pk_declared_loss PRIMARY KEY (id),
CONSTRAINT fk_declared_loss_agent_ref_agent FOREIGN KEY(agent_ref) REFERENCES agent (ref)
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
INSERT INTO "invoice" VALUES('inv_2pcighgr4k6z4jkdt2vsbewb','INV-000001','acme','sub-acme','start','sub-acme','finalized','USD',1790812800000000,1793491200000000,1790812800000000,1792022400000000,4900,4900,'260333c71067090702b0c15695fee71921d9ef27b82bcc4033fb1dca57800b7e',NULL,'{"id":"inv_2pcighgr4k6z4jkdt2vsbewb","number":"INV-000001","state":"finalized","reason":"start","replaces":null,"customer":"acme","currency":"USD","period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"issue_time":"2026-10-01T00:00:00Z","due_time":"2026-10-15T00:00:00Z","seller":{},"customer_details":{"name":"Acme","timezone":"UTC"},"inputs_sha256":"260333c71067090702b0c15695fee71921d9ef27b82bcc4033fb1dca57800b7e","lines":[{"id":"line_19a582604c0384a94afde62e","subscription":"sub-acme","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}],"subtotal":"49.00","discounts":[],"discount":"0.00","tax":[],"tax_total":"0.00","total":"49.00","credit_notes_applied":"0.00","credits":[],"credits_applied":"0.00","amount_paid":"0.00","amount_due":"49.00"}',1790812800000000);
INSERT INTO "invoice" VALUES('inv_77d3kape6nlsmf4qz5uqtmi2','INV-000002','globex','sub-globex','start','sub-globex','finalized','USD',1790812800000000,1790827200000000,1790812800000000,1792022400000000,27,27,'661b1c77efd2bc0afd481bdb762a76e9430695dc69278c239ff6d7699d6f15b8',NULL,'{"id":"inv_77d3kape6nlsmf4qz5uqtmi2","number":"INV-000002","state":"finalized","reason":"start","replaces":null,"customer":"globex","currency":"USD","period":{"start":"2026-10-01T00:00:00Z","end":"2026-10-01T04:00:00Z"},"issue_time":"2026-10-01T00:00:00Z","due_time":"2026-10-15T00:00:00Z","seller":{},"customer_details":{"name":"Globex","timezone":"America/New_York"},"inputs_sha256":"661b1c77efd2bc0afd481bdb762a76e9430695dc69278c239ff6d7699d6f15b8","lines":[{"id":"line_094dd2cc4040882d6ddfcbe3","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-10-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"0.27","amount_exact":"0.272222222222222222","steps":[],"proration":{"numerator":1,"denominator":180},"discount_share":"0.00","tax_rates":[]}],"subtotal":"0.27","discounts":[],"discount":"0.00","tax":[],"tax_total":"0.00","total":"0.27","credit_notes_applied":"0.00","credits":[],"credits_applied":"0.00","amount_paid":"0.00","amount_due":"0.27"}',1790812800000000);
INSERT INTO "invoice" VALUES('inv_5r7f4dobzfjgovqnnkqrhzhx','INV-000003','globex','sub-globex','periodic','2026-10-01T00:00:00Z','finalized','USD',1790812800000000,1790827200000000,1790830800000000,1792040400000000,4900,4900,'f51f8c06ccb5fc0d13f2feeb0b6a99db6623b1cf27f39d6c7672c9a561091d5b',NULL,'{"id":"inv_5r7f4dobzfjgovqnnkqrhzhx","number":"INV-000003","state":"finalized","reason":"periodic","replaces":null,"customer":"globex","currency":"USD","period":{"start":"2026-10-01T00:00:00Z","end":"2026-10-01T04:00:00Z"},"issue_time":"2026-10-01T05:00:00Z","due_time":"2026-10-15T05:00:00Z","seller":{},"customer_details":{"name":"Globex","timezone":"America/New_York"},"inputs_sha256":"f51f8c06ccb5fc0d13f2feeb0b6a99db6623b1cf27f39d6c7672c9a561091d5b","lines":[{"id":"line_9b2bb6f1f28794c9c475b268","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}],"subtotal":"49.00","discounts":[],"discount":"0.00","tax":[],"tax_total":"0.00","total":"49.00","credit_notes_applied":"0.00","credits":[],"credits_applied":"0.00","amount_paid":"0.00","amount_due":"49.00"}',1790830800000000);
INSERT INTO "invoice" VALUES('inv_mkt5hsyb73bqywrvw4zydtcq','INV-000004','acme','sub-acme','periodic','2026-10-01T00:00:00Z','finalized','USD',1790812800000000,1793491200000000,1793494800000000,1794704400000000,16920,16920,'47852161c4bf492f5288c92ee0fc9a3c936e99aa7e5e7ddfd4a1f607250d551d',NULL,'{"id":"inv_mkt5hsyb73bqywrvw4zydtcq","number":"INV-000004","state":"finalized","reason":"periodic","replaces":null,"customer":"acme","currency":"USD","period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"issue_time":"2026-11-01T01:00:00Z","due_time":"2026-11-15T01:00:00Z","seller":{},"customer_details":{"name":"Acme","timezone":"UTC"},"inputs_sha256":"47852161c4bf492f5288c92ee0fc9a3c936e99aa7e5e7ddfd4a1f607250d551d","lines":[{"id":"line_d122346ba41152b0a912f23d","subscription":"sub-acme","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]},{"id":"line_87ae5c64f7f1cb9ccd659386","subscription":"sub-acme","price":"calls","price_version":1,"segment":0,"kind":"usage","description":"calls","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"2","included_quantity":"0","billable_quantity":"2","unit":"call","amount":"0.20","amount_exact":"0.2","steps":[{"from":"0","to":null,"quantity":"2","unit_price":"0.1","flat_price":"0","amount":"0.2"}],"proration":null,"discount_share":"0.00","tax_rates":[]},{"id":"line_d6adab03f2f33add16a078d7","subscription":"sub-acme","price":"input","price_version":1,"segment":0,"kind":"usage","description":"input","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"15000","included_quantity":"1000","billable_quantity":"14000","unit":"token","amount":"120.00","amount_exact":"120","steps":[{"from":"0","to":"10000","quantity":"10000","unit_price":"0.01","flat_price":"0","amount":"100"},{"from":"10000","to":null,"quantity":"4000","unit_price":"0.005","flat_price":"0","amount":"20"}],"proration":null,"discount_share":"0.00","tax_rates":[]}],"subtotal":"169.20","discounts":[],"discount":"0.00","tax":[],"tax_total":"0.00","total":"169.20","credit_notes_applied":"0.00","credits":[],"credits_applied":"0.00","amount_paid":"0.00","amount_due":"169.20"}',1793494800000000);
INSERT INTO "invoice" VALUES('inv_guxsip7766t47tc2a6offzdi','INV-000005','globex','sub-globex','periodic','2026-10-01T04:00:00Z','finalized','USD',1790827200000000,1793505600000000,1793509200000000,1794718800000000,4910,4910,'9dbf95810662a97dec3042a989c1d4e38616b2d44645912f805ea2c4a068ff9d',NULL,'{"id":"inv_guxsip7766t47tc2a6offzdi","number":"INV-000005","state":"finalized","reason":"periodic","replaces":null,"customer":"globex","currency":"USD","period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"issue_time":"2026-11-01T05:00:00Z","due_time":"2026-11-15T05:00:00Z","seller":{},"customer_details":{"name":"Globex","timezone":"America/New_York"},"inputs_sha256":"9dbf95810662a97dec3042a989c1d4e38616b2d44645912f805ea2c4a068ff9d","lines":[{"id":"line_b8efbaedbfc9282a23e3f0b5","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-11-01T04:00:00Z","end":"2026-12-01T05:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]},{"id":"line_0ebebc938c81ad9ae9f21f19","subscription":"sub-globex","price":"calls","price_version":1,"segment":0,"kind":"usage","description":"calls","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"call","amount":"0.10","amount_exact":"0.1","steps":[{"from":"0","to":null,"quantity":"1","unit_price":"0.1","flat_price":"0","amount":"0.1"}],"proration":null,"discount_share":"0.00","tax_rates":[]},{"id":"line_06ef4edb1d17fe1824fdb0db","subscription":"sub-globex","price":"input","price_version":1,"segment":0,"kind":"usage","description":"input","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"500","included_quantity":"500","billable_quantity":"0","unit":"token","amount":"0.00","amount_exact":"0","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}],"subtotal":"49.10","discounts":[],"discount":"0.00","tax":[],"tax_total":"0.00","total":"49.10","credit_notes_applied":"0.00","credits":[],"credits_applied":"0.00","amount_paid":"0.00","amount_due":"49.10"}',1793509200000000);
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
INSERT INTO "invoice_line" VALUES('inv_2pcighgr4k6z4jkdt2vsbewb',0,'sub-acme|base|2026-10-01T00:00:00Z|0|recurring|0','sub-acme','base','recurring',1790812800000000,1793491200000000,4900,'{"id":"line_19a582604c0384a94afde62e","subscription":"sub-acme","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_77d3kape6nlsmf4qz5uqtmi2',0,'sub-globex|base|2026-10-01T00:00:00Z|0|recurring|0','sub-globex','base','recurring',1790812800000000,1790827200000000,27,'{"id":"line_094dd2cc4040882d6ddfcbe3","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-10-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"0.27","amount_exact":"0.272222222222222222","steps":[],"proration":{"numerator":1,"denominator":180},"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_5r7f4dobzfjgovqnnkqrhzhx',0,'sub-globex|base|2026-10-01T04:00:00Z|0|recurring|0','sub-globex','base','recurring',1790827200000000,1793505600000000,4900,'{"id":"line_9b2bb6f1f28794c9c475b268","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_mkt5hsyb73bqywrvw4zydtcq',0,'sub-acme|base|2026-11-01T00:00:00Z|0|recurring|0','sub-acme','base','recurring',1793491200000000,1796083200000000,4900,'{"id":"line_d122346ba41152b0a912f23d","subscription":"sub-acme","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_mkt5hsyb73bqywrvw4zydtcq',1,'sub-acme|calls|2026-10-01T00:00:00Z|0|usage|0','sub-acme','calls','usage',1790812800000000,1793491200000000,20,'{"id":"line_87ae5c64f7f1cb9ccd659386","subscription":"sub-acme","price":"calls","price_version":1,"segment":0,"kind":"usage","description":"calls","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"2","included_quantity":"0","billable_quantity":"2","unit":"call","amount":"0.20","amount_exact":"0.2","steps":[{"from":"0","to":null,"quantity":"2","unit_price":"0.1","flat_price":"0","amount":"0.2"}],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_mkt5hsyb73bqywrvw4zydtcq',2,'sub-acme|input|2026-10-01T00:00:00Z|0|usage|0','sub-acme','input','usage',1790812800000000,1793491200000000,12000,'{"id":"line_d6adab03f2f33add16a078d7","subscription":"sub-acme","price":"input","price_version":1,"segment":0,"kind":"usage","description":"input","group":{},"service_period":{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"},"quantity":"15000","included_quantity":"1000","billable_quantity":"14000","unit":"token","amount":"120.00","amount_exact":"120","steps":[{"from":"0","to":"10000","quantity":"10000","unit_price":"0.01","flat_price":"0","amount":"100"},{"from":"10000","to":null,"quantity":"4000","unit_price":"0.005","flat_price":"0","amount":"20"}],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_guxsip7766t47tc2a6offzdi',0,'sub-globex|base|2026-11-01T04:00:00Z|0|recurring|0','sub-globex','base','recurring',1793505600000000,1796101200000000,4900,'{"id":"line_b8efbaedbfc9282a23e3f0b5","subscription":"sub-globex","price":"base","price_version":1,"segment":0,"kind":"recurring","description":"base","group":{},"service_period":{"start":"2026-11-01T04:00:00Z","end":"2026-12-01T05:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"","amount":"49.00","amount_exact":"49","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_guxsip7766t47tc2a6offzdi',1,'sub-globex|calls|2026-10-01T04:00:00Z|0|usage|0','sub-globex','calls','usage',1790827200000000,1793505600000000,10,'{"id":"line_0ebebc938c81ad9ae9f21f19","subscription":"sub-globex","price":"calls","price_version":1,"segment":0,"kind":"usage","description":"calls","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"1","included_quantity":"0","billable_quantity":"1","unit":"call","amount":"0.10","amount_exact":"0.1","steps":[{"from":"0","to":null,"quantity":"1","unit_price":"0.1","flat_price":"0","amount":"0.1"}],"proration":null,"discount_share":"0.00","tax_rates":[]}');
INSERT INTO "invoice_line" VALUES('inv_guxsip7766t47tc2a6offzdi',2,'sub-globex|input|2026-10-01T04:00:00Z|0|usage|0','sub-globex','input','usage',1790827200000000,1793505600000000,0,'{"id":"line_06ef4edb1d17fe1824fdb0db","subscription":"sub-globex","price":"input","price_version":1,"segment":0,"kind":"usage","description":"input","group":{},"service_period":{"start":"2026-10-01T04:00:00Z","end":"2026-11-01T04:00:00Z"},"quantity":"500","included_quantity":"500","billable_quantity":"0","unit":"token","amount":"0.00","amount_exact":"0","steps":[],"proration":null,"discount_share":"0.00","tax_rates":[]}');
CREATE TABLE meter (
"key" TEXT NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_meter PRIMARY KEY ("key")
)
STRICT;
INSERT INTO "meter" VALUES('input_tokens','{"aggregation":"sum","decimals":0,"key":"input_tokens","quantity":"input_tokens","unit":"token","where":{}}',1790812800000000,1790812800000000);
INSERT INTO "meter" VALUES('calls','{"aggregation":"count","decimals":0,"key":"calls","quantity":"requests","unit":"call","where":{}}',1790812800000000,1790812800000000);
CREATE TABLE number_series (
"key" TEXT NOT NULL,
prefix TEXT NOT NULL,
next_number INTEGER NOT NULL,
CONSTRAINT pk_number_series PRIMARY KEY ("key")
)
STRICT;
INSERT INTO "number_series" VALUES('invoice','INV-',6);
CREATE TABLE plan_version (
"key" TEXT NOT NULL,
version INTEGER NOT NULL,
effective_from INTEGER NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_plan_version PRIMARY KEY ("key", version)
)
STRICT;
INSERT INTO "plan_version" VALUES('pro',1,1790812800000000,'{"anchor":"calendar","billing_period":{"every":1,"unit":"month"},"currency":"USD","effective_from":"2026-10-01T00:00:00Z","key":"pro","name":"Pro","prices":[{"amount":"49","bill":"in_advance","key":"base","kind":"recurring","name":null},{"included":"0","key":"calls","kind":"usage","meter":"calls","model":"per_unit","name":null,"unit_price":"0.1","where":{}},{"included":"1000","key":"input","kind":"usage","meter":"input_tokens","model":"graduated","name":null,"tiers":[{"flat_price":"0","unit_price":"0.01","up_to":"10000"},{"flat_price":"0","unit_price":"0.005"}],"where":{}}],"proration":"second","version":1}',1790812800000000);
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
INSERT INTO "running_charge" VALUES('acme','sub-acme',1790812800000000,'input',0,'15000','120.000',12000);
INSERT INTO "running_charge" VALUES('acme','sub-acme',1790812800000000,'calls',0,'2','0.2',20);
INSERT INTO "running_charge" VALUES('globex','sub-globex',1790827200000000,'input',0,'500','0',0);
INSERT INTO "running_charge" VALUES('globex','sub-globex',1790827200000000,'calls',0,'1','0.1',10);
INSERT INTO "running_charge" VALUES('acme','sub-acme',1793491200000000,'input',0,'2500','15.00',1500);
INSERT INTO "running_charge" VALUES('acme','sub-acme',1793491200000000,'calls',0,'1','0.1',10);
INSERT INTO "running_charge" VALUES('globex','sub-globex',1793505600000000,'input',0,'1600','6.00',600);
INSERT INTO "running_charge" VALUES('globex','sub-globex',1793505600000000,'calls',0,'1','0.1',10);
CREATE TABLE server_state (
id INTEGER NOT NULL,
incarnation TEXT NOT NULL,
clock_kind TEXT,
test_clock INTEGER,
create_time INTEGER NOT NULL, origin_mark TEXT, incarnation_time INTEGER,
CONSTRAINT pk_server_state PRIMARY KEY (id),
CONSTRAINT ck_server_state_single CHECK (id = 1),
CONSTRAINT ck_server_state_clock_kind CHECK (clock_kind IN ('real', 'test'))
)
STRICT;
INSERT INTO "server_state" VALUES(1,'55ae8a8bbb5f05b38aacccf01d928a28','test',1793577600000000,1795685161797193,'9f905a2ec7691dade3d82a6346cbe230',NULL);
CREATE TABLE setting (
"key" TEXT NOT NULL,
value TEXT NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_setting PRIMARY KEY ("key")
)
STRICT;
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
INSERT INTO "subscription" VALUES('sub-acme','acme','pro',1,1790812800000000,NULL,NULL,'{}','{}',0,NULL,1790812800000000,1790812800000000);
INSERT INTO "subscription" VALUES('sub-globex','globex','pro',1,1790812800000000,NULL,NULL,'{}','{}',0,NULL,1790812800000000,1790812800000000);
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
INSERT INTO "usage_bucket" VALUES(29882160,'acme',1,12000,1);
INSERT INTO "usage_bucket" VALUES(29882160,'acme',2,1,1);
INSERT INTO "usage_bucket" VALUES(29883600,'acme',1,3000,1);
INSERT INTO "usage_bucket" VALUES(29883600,'acme',2,1,1);
INSERT INTO "usage_bucket" VALUES(29884380,'globex',3,500,1);
INSERT INTO "usage_bucket" VALUES(29884380,'globex',4,1,1);
INSERT INTO "usage_bucket" VALUES(29905200,'acme',1,2500,1);
INSERT INTO "usage_bucket" VALUES(29905200,'acme',2,1,1);
INSERT INTO "usage_bucket" VALUES(29906640,'globex',3,1600,1);
INSERT INTO "usage_bucket" VALUES(29906640,'globex',4,1,1);
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
INSERT INTO "usage_event" VALUES('november-0','acme',1794312000000000,1795685170376629,1,4,X'0A0A6E6F76656D6265722D30120461636D651A0608C08ECCD706220D0A08726571756573747312013122140A0C696E7075745F746F6B656E73120432353030',NULL,NULL);
INSERT INTO "usage_event" VALUES('november-1','globex',1794398400000000,1795685170376629,1,5,X'0A0A6E6F76656D6265722D311206676C6F6265781A0608C0B1D1D706220D0A08726571756573747312013122140A0C696E7075745F746F6B656E73120431363030',NULL,NULL);
INSERT INTO "usage_event" VALUES('october-0','acme',1792929600000000,1795685166671410,1,1,X'0A096F63746F6265722D30120461636D651A0608C0DEF7D606220D0A08726571756573747312013122150A0C696E7075745F746F6B656E7312053132303030',NULL,NULL);
INSERT INTO "usage_event" VALUES('october-1','acme',1793016000000000,1795685166690787,1,2,X'0A096F63746F6265722D31120461636D651A0608C081FDD606220D0A08726571756573747312013122140A0C696E7075745F746F6B656E73120433303030',NULL,NULL);
INSERT INTO "usage_event" VALUES('october-2','globex',1793062800000000,1795685166690787,1,3,X'0A096F63746F6265722D321206676C6F6265781A060890EFFFD606220D0A08726571756573747312013122130A0C696E7075745F746F6B656E731203353030',NULL,NULL);
CREATE TABLE usage_series (
series_id INTEGER NOT NULL,
customer_id TEXT NOT NULL,
meter_key TEXT NOT NULL,
dimensions TEXT NOT NULL,
CONSTRAINT pk_usage_series PRIMARY KEY (series_id),
CONSTRAINT uq_usage_series_customer_id_meter_key_dimensions UNIQUE (customer_id, meter_key, dimensions)
)
STRICT;
INSERT INTO "usage_series" VALUES(1,'acme','input_tokens','{}');
INSERT INTO "usage_series" VALUES(2,'acme','calls','{}');
INSERT INTO "usage_series" VALUES(3,'globex','input_tokens','{}');
INSERT INTO "usage_series" VALUES(4,'globex','calls','{}');
CREATE INDEX ix_idempotency_key_create_time ON idempotency_key (create_time);
CREATE INDEX ix_usage_bucket_customer ON usage_bucket (customer_id, minute, series_id);
CREATE INDEX ix_usage_event_quarantined ON usage_event (customer_id, event_id) WHERE quarantine_reason IS NOT NULL;
CREATE INDEX ix_invoice_customer ON invoice (customer_id, create_time);
CREATE UNIQUE INDEX uq_invoice_cause ON invoice (customer_id, subscription_id, reason, cause) WHERE state <> 'void';
CREATE INDEX ix_subscription_customer ON subscription (customer_id, start_time);
CREATE INDEX ix_subscription_start_due ON subscription (start_time, id) WHERE is_start_invoice_due;
CREATE INDEX ix_billing_period_customer ON billing_period (customer_id);
CREATE INDEX ix_billing_period_state ON billing_period (state, period_end);
CREATE INDEX ix_invoice_line_subscription ON invoice_line (subscription_id, period_start);
COMMIT;
