"""A store with a quota book on a clock that moves only when told, and what tests put into it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

from meter_agent.core.quota.decide import QuotaRequest
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import EndKind, content_of
from meter_agent.quota.book import QuotaBook
from meter_agent.quota.demands import Demands
from meter_agent.quota.ending import End
from meter_agent.quota.figures import LimitName, QuotaFigures
from meter_agent.quota.mapping import stored_terms, terms_from_proto
from meter_agent.quota.reserving import Counter, Reserve
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation, Recorded
from meter_agent.store.reader import OutboxReader
from metering.api.v1 import lease_pb2
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.api.v1.usage_pb2 import UsageEvent
from tests.meter_agent.support import NOW_US, WAIT_SECONDS, Store

LEASE_ID = b"lease-of-acme-01"
Result = TypeVar("Result")


DAILY = LimitName("daily", "output", 0)
"""How figures name the limit that `limit()` returns."""


class HandClock:
    """A clock of leases that moves only when told."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.time_us = 1_000_000_000
        self.wall_ahead_us = NOW_US

    def now_us(self) -> int:
        return self.time_us

    def wall_us(self) -> int:
        return self.wall_ahead_us + self.time_us

    def pass_seconds(self, seconds: float) -> None:
        self.time_us += round(seconds * 1_000_000)

    def set_wall(self, seconds: float) -> None:
        """Sets the wall clock forward, or back."""
        self.wall_ahead_us += round(seconds * 1_000_000)


def limit(limit_key: str = "daily", **fields: Any) -> lease_pb2.LimitTerms:
    """Returns a hard limit of 1,000 output tokens, or as the fields say."""
    return lease_pb2.LimitTerms(
        **{
            "limit_key": limit_key,
            "kind": lease_pb2.LIMIT_KIND_UNITS,
            "quantity": "output",
            "max": 1_000,
            "enforcement": lease_pb2.ENFORCEMENT_HARD,
            "when_offline": lease_pb2.OFFLINE_POLICY_CLOSED,
            "window_id": "w1",
            **fields,
        }
    )


def cap(**fields: Any) -> lease_pb2.LimitTerms:
    """Returns a hard limit of 1.00 on what output tokens cost: 0.01 each up to 10, 0.02 beyond."""
    price = lease_pb2.PriceBound(
        meter_key="output",
        quantity="output",
        steps=[
            lease_pb2.PriceStep(from_quantity="0", unit_price="0.01"),
            lease_pb2.PriceStep(from_quantity="10", unit_price="0.02"),
        ],
    )
    made = {"quantity": "", "decimals": 6, "max": 1_000_000, "prices": [price], **fields}
    return limit("cap", kind=lease_pb2.LIMIT_KIND_MONEY, currency="USD", **made)


class QuotaWorld:
    """The book of an agent with customer acme, on a disk of its own."""

    def __init__(self, directory: Path, *, has_server: bool = True) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.has_server = has_server
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.writer.stop()

    def reopen(self) -> None:
        """Ends the process and starts another on the same disk."""
        self.store.writer.stop()
        self._open()

    def run(self, change: Callable[[], Result]) -> Result:
        """Runs a change in a commit and returns its result; usage that it returns is recorded."""
        results: list[Result] = []

        def work() -> Recorded | None:
            result = change()
            results.append(result)
            last: Any = result[1] if isinstance(result, tuple) else result
            return last if isinstance(last, Recorded) else None

        ticket = Ticket()
        self.store.writer.submit(
            Operation(
                run=work,
                ticket=ticket,
                events=b"x" * 100,
                event_count=1,
                receive_time_us=NOW_US,
                oldest_event_time_us=NOW_US,
            )
        )
        ticket.wait(WAIT_SECONDS)
        return results[0]

    def tell(self, *limits: lease_pb2.LimitTerms, customer_id: str = "acme", **fields: Any) -> None:
        """Tells the terms of a customer."""
        message = lease_pb2.CustomerTerms(customer_id=customer_id, limits=limits, **fields)
        terms = terms_from_proto(message, sent_at_us=self.clock.now_us())
        raw = message.SerializeToString()
        self.run(lambda: self.book.put_terms(terms, raw=raw, applied_seq=0))

    def lease(self, granted: int, limit_key: str = "daily", **fields: Any) -> Lease:
        """Puts a lease of acme."""
        made = Lease(
            **{
                "lease_id": LEASE_ID,
                "customer_id": "acme",
                "limit_key": limit_key,
                "window_id": "w1",
                "granted": granted,
                **fields,
            }
        )
        self.run(lambda: self.book.put_leases((made,)))
        return made

    def the_lease(self, limit_key: str = "daily", lease_id: bytes = LEASE_ID) -> Lease:
        """Returns a durable lease."""
        [found] = [
            item
            for item in self.book.all_leases()
            if (item.limit_key, item.lease_id) == (limit_key, lease_id)
        ]
        return found

    def events(self) -> list[UsageEvent]:
        """Returns every event on disk."""
        reader = OutboxReader(self.store.path)
        page = reader.page(first_seq=1, event_count_max=10_000, bytes_max=10**8)
        reader.close()
        return [item for block in page for item in UsageEvents.FromString(block.events).events]

    def _open(self) -> None:
        self.store = Store(self.directory)
        self.book = QuotaBook(clock=self.clock, read_terms=stored_terms)
        self.store.writer.keep(self.book)
        # What is tested here is not what survives a power loss.
        self.store.outbox._connection.execute("PRAGMA synchronous = OFF")
        self.counter = Counter(self.book, Demands(), QuotaFigures(), has_server=self.has_server)


def asked(reservation_id: str = "r-1", **fields: Any) -> Reserve:
    """Returns a reservation of 100 output tokens for acme, or as the fields say."""
    quantities = {
        name: Decimal(value) for name, value in fields.pop("quantities", {"output": "100"}).items()
    }
    minimum = {name: Decimal(value) for name, value in fields.pop("minimum", {}).items()}
    request = QuotaRequest(
        customer_id=fields.pop("customer_id", "acme"),
        dimensions=fields.pop("dimensions", {}),
        quantities=quantities,
        minimum_quantities=minimum,
    )
    made = Reserve(
        reservation_id=reservation_id,
        request=request,
        content=content_of(
            quantities=quantities, dimensions=request.dimensions, minimum_quantities=minimum
        ),
        ttl_us=120_000_000,
    )
    return replace(made, **fields)


def ending(reservation_id: str = "r-1", output: str | None = "60", **fields: Any) -> End:
    """Returns a settlement of 60 output tokens, or as the fields say."""
    quantities = {} if output is None else {"output": Decimal(output)}
    kind = fields.pop("kind", EndKind.SETTLE)
    customer_id = fields.pop("customer_id", "")
    return End(
        kind=kind,
        reservation_id=reservation_id,
        customer_id=customer_id,
        quantities=quantities,
        content=content_of(quantities=quantities),
        **fields,
    )
