CREATE TABLE tax_rate (
key TEXT COLLATE "C" NOT NULL,
content TEXT NOT NULL,
create_time BIGINT NOT NULL,
update_time BIGINT NOT NULL,
CONSTRAINT pk_tax_rate PRIMARY KEY (key)
);
