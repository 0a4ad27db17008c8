CREATE TABLE join_token (
join_token_id TEXT NOT NULL,
fleet TEXT NOT NULL,
token_sha256 TEXT NOT NULL,
create_time INTEGER NOT NULL,
expire_time INTEGER NOT NULL,
agent_count_max INTEGER NOT NULL,
agent_count INTEGER DEFAULT 0 NOT NULL,
revoke_time INTEGER,
is_ephemeral INTEGER DEFAULT '0' NOT NULL,
CONSTRAINT pk_join_token PRIMARY KEY (join_token_id),
CONSTRAINT uq_join_token_token_sha256 UNIQUE (token_sha256)
)
STRICT;
