"""The buffer on disk: SQLite, one writer thread with group commit, read-only readers."""
