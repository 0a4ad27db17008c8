CREATE TABLE addon_version (
"key" TEXT NOT NULL,
version INTEGER NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
CONSTRAINT pk_addon_version PRIMARY KEY ("key", version)
)
STRICT;
