CREATE TABLE join_token (
join_token_id TEXT COLLATE "C" NOT NULL,
fleet TEXT NOT NULL,
token_sha256 TEXT COLLATE "C" NOT NULL,
create_time BIGINT NOT NULL,
expire_time BIGINT NOT NULL,
agent_count_max BIGINT NOT NULL,
agent_count BIGINT DEFAULT 0 NOT NULL,
revoke_time BIGINT,
is_ephemeral BOOLEAN DEFAULT '0' NOT NULL,
CONSTRAINT pk_join_token PRIMARY KEY (join_token_id),
CONSTRAINT uq_join_token_token_sha256 UNIQUE (token_sha256)
);
