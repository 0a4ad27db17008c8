CREATE TABLE repeated_debit (
lease_id BYTEA NOT NULL,
event_id TEXT COLLATE "C" NOT NULL,
receive_time BIGINT NOT NULL,
amount BIGINT NOT NULL,
ordinal BIGINT NOT NULL,
CONSTRAINT pk_repeated_debit PRIMARY KEY (lease_id, event_id, receive_time, amount, ordinal)
);
