"""The agent as a client of the server: sessions and shipping."""
