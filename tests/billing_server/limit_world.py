"""A world with limits: a customer's own, accounts by key, and events that name leases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.ports.limits import LimitAccount
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import NOON, START, IngestWorld, event


def units(key: str, most: int, *, unit: WindowUnit = WindowUnit.DAY, **changes: Any) -> Limit:
    """Returns a limit on input tokens."""
    fields: dict[str, Any] = {
        "key": key,
        "subject": LimitSubject.METER,
        "meter": "input_tokens",
        "maximum": Decimal(most),
        "window": LimitWindow(unit),
    }
    return Limit(**(fields | changes))


def money(key: str, most: str, *, unit: WindowUnit = WindowUnit.BILLING_PERIOD) -> Limit:
    """Returns a spend cap."""
    return Limit(
        key=key,
        subject=LimitSubject.MONEY,
        maximum=Decimal(most),
        window=LimitWindow(unit),
    )


def rolling(key: str, most: int, *, hours: int) -> Limit:
    """Returns a limit over the last hours."""
    return replace(units(key, most), window=LimitWindow(WindowUnit.ROLLING, timedelta(hours=hours)))


def debited(
    event_id: str,
    *,
    tokens: int,
    debits: Sequence[tuple[bytes, int]],
    at: datetime | None = NOON,
    customer: str = "acme",
    is_settlement: bool = True,
    dimensions: Mapping[str, str] | None = None,
) -> usage_pb2.UsageEvent:
    """Returns an event as an agent writes it that took its use from leases."""
    message = event(
        event_id,
        at=at,
        customer=customer,
        quantities={"input_tokens": str(tokens)},
        dimensions=dimensions,
    )
    for lease_id, amount in debits:
        message.debits.add(lease_id=lease_id, amount=amount)
    if is_settlement:
        message.settlement.reservation_id = f"r-{event_id}"
        message.settlement.kind = usage_pb2.SETTLEMENT_KIND_SETTLED
    return message


class LimitWorld(IngestWorld):
    """The world of counting, with limits of the customer `acme`."""

    def __init__(self, store: SqlStore, *limits: Limit) -> None:
        super().__init__(store)
        self.limit(*limits)

    def limit(self, *limits: Limit, customer: str = "acme") -> None:
        """Sets the customer's own limits."""
        with self.store.write() as unit:
            known = unit.customers.get(customer)
            assert known is not None
            unit.customers.update(replace(known, limits=limits), update_time=START)
            unit.leases.announce_terms([customer])

    def accounts(self, customer: str = "acme") -> dict[str, LimitAccount]:
        """Returns the latest account of each limit."""
        with self.store.read() as unit:
            return {account.key.limit_key: account for account in unit.limits.accounts(customer)}

    def account(self, key: str, *, customer: str = "acme") -> LimitAccount:
        """Returns the latest account of a limit."""
        return self.accounts(customer)[key]

    def lease(
        self, number: int, *, key: WindowKey, granted: int, agent_ref: int = 1, **changes: Any
    ) -> Lease:
        """Writes a lease that an agent holds."""
        fields = {"lease_id": bytes([number]) * 16, "key": key, "agent_ref": agent_ref}
        made = Lease(**(fields | {"granted": granted, "create_time": NOON} | changes))
        with self.store.write() as unit:
            unit.leases.put([made])
        return made

    def lease_of(self, lease_id: bytes) -> Lease:
        """Returns a lease as it is kept."""
        with self.store.read() as unit:
            return unit.leases.by_id([lease_id])[lease_id]
