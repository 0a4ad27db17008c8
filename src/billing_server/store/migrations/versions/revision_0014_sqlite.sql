CREATE TABLE tax_rate (
"key" TEXT NOT NULL,
content TEXT NOT NULL,
create_time INTEGER NOT NULL,
update_time INTEGER NOT NULL,
CONSTRAINT pk_tax_rate PRIMARY KEY ("key")
)
STRICT;
