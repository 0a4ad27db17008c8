"""Storage: engine, tables, migrations, unit of work and repositories."""
