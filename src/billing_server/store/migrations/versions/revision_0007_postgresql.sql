CREATE TABLE addon_version (
key TEXT COLLATE "C" NOT NULL,
version INTEGER NOT NULL,
content TEXT NOT NULL,
create_time BIGINT NOT NULL,
CONSTRAINT pk_addon_version PRIMARY KEY (key, version)
);
