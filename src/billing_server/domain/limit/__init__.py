"""Limits: which hold for a customer, in which window, and how they are shared out as leases."""
