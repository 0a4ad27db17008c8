CREATE TABLE repeated_debit (
lease_id BLOB NOT NULL,
event_id TEXT NOT NULL,
receive_time INTEGER NOT NULL,
amount INTEGER NOT NULL,
ordinal INTEGER NOT NULL,
CONSTRAINT pk_repeated_debit PRIMARY KEY (lease_id, event_id, receive_time, amount, ordinal)
)
WITHOUT ROWID,
STRICT;
