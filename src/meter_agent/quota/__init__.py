"""Quota at work: what is kept of limits, leases and reservations, and what is done with it."""
