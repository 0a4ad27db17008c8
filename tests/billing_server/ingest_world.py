"""A small world to push usage into: a catalog, customers, agents, and an independent recount."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from google.protobuf.timestamp_pb2 import Timestamp

from billing_server.domain.catalog.model import Aggregation, Meter, Plan, UsagePrice
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.customers import StartInvoice
from billing_server.domain.ports.usage import RunningCharge
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.tier import Tier
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.services.ingest_usage import PushOutcome, UsageIngester
from billing_server.services.open_session import SessionRequest, open_session
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.usage_payload import PushedBlock, UsagePush
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import ingest_pb2, usage_pb2
from metering.clock import ManualClock

START = datetime(2026, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
METERS = (
    Meter(key="input_tokens", unit="token", quantity="input_tokens"),
    Meter(key="gpu_seconds", unit="second", quantity="gpu_seconds", decimals=3),
    Meter(key="calls", unit="call", quantity="requests", aggregation=Aggregation.COUNT),
    Meter(key="peak", unit="user", quantity="users", aggregation=Aggregation.MAX),
)
PLAN = Plan(
    key="pro",
    version=1,
    currency="USD",
    effective_from=START,
    prices=(
        UsagePrice(
            key="input",
            meter="input_tokens",
            included=Decimal(1000),
            # 0.01 each up to 10,000 beyond the included ones, then 0.005.
            model=Graduated(
                (
                    Tier(up_to=Decimal(10_000), unit_price=Decimal("0.01")),
                    Tier(up_to=None, unit_price=Decimal("0.005")),
                )
            ),
        ),
        UsagePrice(
            key="input-large",
            meter="input_tokens",
            where={"model": "large"},
            model=PerUnit(Decimal("0.02")),
        ),
        UsagePrice(key="gpu", meter="gpu_seconds", model=PerUnit(Decimal("0.001"))),
        UsagePrice(key="calls", meter="calls", model=PerUnit(Decimal("0.1"))),
        UsagePrice(key="peak", meter="peak", model=PerUnit(Decimal(2))),
    ),
)


def event(
    event_id: str,
    *,
    customer: str = "acme",
    at: datetime | None = NOON,
    quantities: Mapping[str, str] | None = None,
    dimensions: Mapping[str, str] | None = None,
) -> usage_pb2.UsageEvent:
    """Returns an event; 100 input tokens where nothing else is said."""
    message = usage_pb2.UsageEvent(
        event_id=event_id,
        customer_id=customer,
        quantities=quantities or {"input_tokens": "100"},
        dimensions=dimensions or {},
    )
    if at is not None:
        message.event_time.CopyFrom(_timestamp(at))
    return message


def block(
    events: Iterable[usage_pb2.UsageEvent], *, first_seq: int, received: datetime = NOON
) -> PushedBlock:
    """Returns events as an agent ships them."""
    members = list(events)
    return PushedBlock(
        first_seq=first_seq,
        event_count=len(members),
        receive_time_us=microseconds_from_instant(received),
        events=ingest_pb2.UsageEvents(events=members).SerializeToString(),
    )


class AgentAtWork:
    """An agent with an open session that remembers its next position."""

    def __init__(self, world: "IngestWorld", agent: Agent) -> None:
        self.world = world
        self.agent = agent
        self.next_seq = 1
        self.sync_no = 0
        self.session_no = 0
        self.incarnation = ""
        self.open()

    def open(self, *, earliest_kept_seq: int | None = None) -> None:
        """Opens the next session."""
        self.sync_no += 1
        opened = open_session(
            self.world.store,
            clock=self.world.clock,
            agent=self.agent,
            request=SessionRequest(
                disk_id=self.agent.name.encode().ljust(16, b"d"),
                nonce=self.sync_no.to_bytes(16),
                sync_no=self.sync_no,
                earliest_kept_seq=earliest_kept_seq or 1,
            ),
        )
        self.session_no, self.incarnation = opened.session_no, opened.server_incarnation

    def push(
        self,
        *events: usage_pb2.UsageEvent,
        first_seq: int | None = None,
        session_no: int | None = None,
        received: datetime = NOON,
    ) -> PushOutcome:
        """Pushes events at the next position, or again at a given one."""
        first = self.next_seq if first_seq is None else first_seq
        outcome = self.world.ingester.push(
            self.agent,
            push=UsagePush(
                server_incarnation=self.incarnation,
                session_no=self.session_no if session_no is None else session_no,
                first_seq=first,
                blocks=(block(events, first_seq=first, received=received),) if events else (),
            ),
        )
        self.next_seq = max(self.next_seq, first + len(events))
        return outcome


class IngestWorld:
    """A server's counting with one customer, `acme`, on plan `pro` from 1 March 2026."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.clock = ManualClock(NOON)
        self.ingester = UsageIngester(store=store, clock=self.clock)
        self._numbers = count(1)
        with store.write() as unit:
            for meter in METERS:
                unit.catalog.put_meter(meter, update_time=START)
            unit.catalog.add_plan_version(PLAN, create_time=START)
        self.add_customer("acme")
        self.subscribe("acme")

    def agent(self, name: str | None = None) -> AgentAtWork:
        """Enrols an agent and opens its session."""
        name = name or f"agent-{next(self._numbers)}"
        with self.store.write() as unit:
            enrolled = unit.agents.enroll(
                agent_id=f"agt_{name}", name=name, token_sha256=name, create_time=START
            )
        return AgentAtWork(self, enrolled)

    def add_customer(self, customer_id: str) -> None:
        """Creates a customer."""
        with self.store.write() as unit:
            unit.customers.add(Customer(id=customer_id, currency="USD"), create_time=START)

    def subscribe(
        self,
        customer_id: str,
        *,
        subscription_id: str | None = None,
        start: datetime = START,
    ) -> None:
        """Starts a subscription on plan `pro` and rebuilds what came before it."""
        with self.store.write() as unit:
            unit.subscriptions.add(
                Subscription(
                    id=subscription_id or f"sub-{customer_id}",
                    customer_id=customer_id,
                    plan_key="pro",
                    plan_version=1,
                    start=start,
                ),
                create_time=start,
                start_invoice=StartInvoice.NOT_DUE,
            )
            unit.customers.advance_revision(customer_id)
            rebuild_running_charges(unit, customer_id=customer_id)

    def totals(self, customer_id: str = "acme") -> dict[tuple[str, str], int]:
        """Returns (meter, model) to what was counted, from the buckets."""
        with self.store.read() as unit:
            series = unit.usage.fold_usage(
                customer_id, start=START - timedelta(days=400), end=START + timedelta(days=400)
            )
        return {
            (each.meter_key, each.dimensions.get("model", "")): (
                each.maximum if each.meter_key == "peak" else each.total
            )
            for each in series
        }

    def charges(
        self, customer_id: str = "acme", *, period_start: datetime = START
    ) -> dict[str, RunningCharge]:
        """Returns the running charges of the customer's subscription by price."""
        with self.store.read() as unit:
            found = unit.usage.running_charges(
                f"sub-{customer_id}", customer_id=customer_id, period_start=period_start
            )
        return {charge.price_key: charge for charge in found}

    def waiting(self) -> dict[str, str]:
        """Returns event id to reason of the events that wait."""
        with self.store.read() as unit:
            rows = unit.usage.quarantined(limit=1000)
        return {row.event_id: row.quarantine_reason or "" for row in rows}


def _timestamp(value: datetime) -> Timestamp:
    microseconds = microseconds_from_instant(value)
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)
