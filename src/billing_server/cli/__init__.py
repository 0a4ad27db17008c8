"""The `billing-server` command."""
