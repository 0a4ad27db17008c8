"""Rows of limits for the tests of the store."""

from datetime import UTC, datetime
from typing import Any

from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.ports.limits import LimitAccount

NOW = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
DAY = WindowKey("acme", "daily", "2026-03-10T00:00:00Z/day/0")


def account(key: WindowKey = DAY, **changes: Any) -> LimitAccount:
    """Returns an account of a window."""
    return LimitAccount(**({"key": key, "start": NOW, "end": None} | changes))


def lease(number: int, *, key: WindowKey = DAY, agent_ref: int = 1, **changes: Any) -> Lease:
    """Returns a lease of a window."""
    fields = {"lease_id": bytes([number]) * 16, "key": key, "agent_ref": agent_ref}
    return Lease(**(fields | {"create_time": NOW} | changes))
