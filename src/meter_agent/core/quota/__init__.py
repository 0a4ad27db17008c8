"""Quota at the agent: leases, reservations and decisions as pure functions."""
