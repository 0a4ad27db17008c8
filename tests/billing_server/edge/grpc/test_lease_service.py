"""LeaseService over real channels: waiting for news, waking each other, and what is malformed."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.edge.grpc.server import IngestServer
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2, lease_pb2_grpc
from metering.rpc import bearer_metadata, error_from_rpc
from tests.billing_server.ingest_world import START
from tests.billing_server.lease_world import LeaseWorld
from tests.billing_server.limit_world import money, units

SECONDS_MAX = 30.0
AGENTS = ("one", "two")


class Agent:
    """An agent's side of the wire."""

    def __init__(self, channel: grpc.Channel, *, name: str) -> None:
        self.name = name
        self.ingest: Any = ingest_pb2_grpc.IngestServiceStub(channel)  # type: ignore[no-untyped-call]
        self.leases: Any = lease_pb2_grpc.LeaseServiceStub(channel)  # type: ignore[no-untyped-call]
        self.metadata = bearer_metadata(name)
        self.disk_id = name.encode().ljust(16, b"d")
        self.sync_no = 1
        self.terms_revision = 0
        self.held: dict[bytes, lease_pb2.LeaseCounters] = {}
        self.answered = {"sync_no": 1, "nonce": self.nonce}
        self.opened = self.ingest.OpenSession(
            ingest_pb2.OpenSessionRequest(
                disk_id=self.disk_id,
                nonce=self.nonce,
                sync_no=1,
                next_seq=1,
                earliest_kept_seq=1,
                has_leases=True,
            ),
            metadata=self.metadata,
            timeout=SECONDS_MAX,
        )

    @property
    def nonce(self) -> bytes:
        return self.sync_no.to_bytes(16)

    @property
    def session(self) -> dict[str, Any]:
        return {
            "session_no": self.opened.session_no,
            "server_incarnation": self.opened.server_incarnation,
            "disk_id": self.disk_id,
        }

    def sync(self, **fields: Any) -> Any:
        """Sends the next sync; the answer is a future."""
        self.sync_no += 1
        return self.repeat(**fields)

    def repeat(self, **fields: Any) -> Any:
        """Sends the present sync again."""
        request = lease_pb2.SyncLeasesRequest(
            **({"leases": list(self.held.values())} | fields),
            **self.session,
            sync_no=self.sync_no,
            nonce=self.nonce,
            terms_revision=self.terms_revision,
        )
        return self.leases.SyncLeases.future(request, metadata=self.metadata, timeout=SECONDS_MAX)

    def answer(self, future: Any) -> lease_pb2.SyncLeasesResponse:
        """Takes an answer in: recalls are answered by returning what is free."""
        answer: lease_pb2.SyncLeasesResponse = future.result(SECONDS_MAX)
        self.answered = {"sync_no": self.sync_no, "nonce": self.nonce}
        self.terms_revision = answer.terms_revision
        for told in answer.leases:
            self.hear(told)
        return answer

    def hear(self, told: lease_pb2.LeaseCounters) -> None:
        known = self.held.get(told.lease_id)
        kept = lease_pb2.LeaseCounters()
        kept.CopyFrom(told)
        kept.consumed = told.settled
        if known is not None:
            kept.returned, kept.consumed = known.returned, known.consumed
        if told.recall_no > (0 if known is None else known.recall_no):
            kept.returned = kept.granted - kept.consumed
        self.held[told.lease_id] = kept

    def acquire(self, window_id: str, *, amount: int, key: str = "daily") -> int:
        """Asks at once; returns what was granted."""
        lease = lease_pb2.LeaseCounters(
            lease_id=self.name.encode().ljust(12, b"_") + len(self.held).to_bytes(4),
            customer_id="acme",
            limit_key=key,
            window_id=window_id,
            granted=amount,
        )
        answer = self.leases.AcquireLease(
            lease_pb2.AcquireLeaseRequest(
                **self.session, **self.answered, leases=[lease], granted_min=[amount]
            ),
            metadata=self.metadata,
            timeout=SECONDS_MAX,
        )
        if answer.leases[0].granted:
            self.hear(answer.leases[0])
        return int(answer.leases[0].granted)


@pytest.fixture
def world(store: SqlStore) -> LeaseWorld:
    world = LeaseWorld(store, units("daily", 1_000))
    with store.write() as unit:
        for name in AGENTS:
            unit.agents.enroll(
                agent_id=f"agt_{name}",
                name=name,
                token_sha256=hashlib.sha256(name.encode()).hexdigest(),
                create_time=START,
            )
    return world


def serving(world: LeaseWorld, store: SqlStore, *, hang_seconds: float = 20.0) -> IngestServer:
    server = IngestServer(
        store=store, clock=world.clock, listen="127.0.0.1:0", hang_seconds=hang_seconds
    )
    server.start()
    return server


@pytest.fixture
def server(world: LeaseWorld, store: SqlStore) -> Iterator[IngestServer]:
    server = serving(world, store)
    yield server
    server.stop()


@pytest.fixture
def channel(server: IngestServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


def want(per_second: int, *, urgent: bool = False, largest: int = 10) -> lease_pb2.LeaseWant:
    return lease_pb2.LeaseWant(
        customer_id="acme",
        limit_key="daily",
        demand_per_second=per_second,
        largest_call=largest,
        is_urgent=urgent,
    )


def test_a_sync_is_answered_at_once_where_there_is_news(channel: grpc.Channel) -> None:
    agent = Agent(channel, name="one")
    answer = agent.answer(agent.sync(customer_ids=["acme", "nobody"], wants=[want(20)]))
    assert answer.result == lease_pb2.LEASE_RESULT_OK
    terms = {each.customer_id: each for each in answer.customers}
    assert terms["nobody"].is_unknown
    (limit,) = terms["acme"].limits
    assert (limit.limit_key, limit.kind, limit.max) == ("daily", lease_pb2.LIMIT_KIND_UNITS, 1_000)
    assert (limit.quantity, limit.enforcement) == ("input_tokens", lease_pb2.ENFORCEMENT_HARD)
    assert limit.window_id.startswith("2026-03-10T00:00:00Z/day/")
    assert limit.window_remaining.seconds == 43_170
    (lease,) = answer.leases
    assert (lease.granted, lease.remaining_duration.seconds) == (300, 43_170)


def test_a_change_of_a_limit_ends_the_waiting(channel: grpc.Channel, world: LeaseWorld) -> None:
    agent = Agent(channel, name="one")
    agent.answer(agent.sync(customer_ids=["acme"], wants=[want(20)]))
    waiting = agent.sync(wants=[want(20)])
    with pytest.raises(grpc.FutureTimeoutError):
        waiting.result(timeout=0.3)
    world.limit(units("daily", 5_000))
    answer = agent.answer(waiting)
    assert answer.customers[0].limits[0].max == 5_000


def test_a_change_of_a_customer_that_is_known_and_not_used_ends_the_waiting(
    store: SqlStore,
    world: LeaseWorld,
) -> None:
    world.limit()
    server = serving(world, store, hang_seconds=2 * SECONDS_MAX)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        agent = Agent(channel, name="one")
        # Without limits there is no demand either: its calls are granted without asking.
        agent.answer(agent.sync(customer_ids=["acme"]))
        waiting = agent.sync()
        with pytest.raises(grpc.FutureTimeoutError):
            waiting.result(timeout=0.3)
        world.limit(units("daily", 5_000))
        assert agent.answer(waiting).customers[0].limits[0].max == 5_000
    server.stop()


def test_a_sync_without_news_is_answered_when_its_time_is_over(
    world: LeaseWorld, store: SqlStore
) -> None:
    server = serving(world, store, hang_seconds=0.2)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        agent = Agent(channel, name="one")
        agent.answer(agent.sync(customer_ids=["acme"]))
        answer = agent.answer(agent.sync())
        assert (list(answer.customers), list(answer.leases)) == ([], [])
        assert answer.terms_revision == agent.terms_revision > 0
        assert agent.answer(agent.sync(answer_at_once=True)).sync_no == 4
    server.stop()


def test_a_calm_sync_hears_of_grants_when_its_calm_is_over(channel: grpc.Channel) -> None:
    agent = Agent(channel, name="one")
    agent.answer(agent.sync(customer_ids=["acme"]))
    # Long enough that a slow machine looks before it is over.
    waiting = agent.sync(wants=[want(20)], calm=Duration(seconds=2))
    with pytest.raises(grpc.FutureTimeoutError):
        waiting.result(timeout=0.1)
    assert [lease.granted for lease in agent.answer(waiting).leases] == [300]


def test_a_cancelled_sync_is_sent_again_under_its_number(channel: grpc.Channel) -> None:
    agent = Agent(channel, name="one")
    agent.answer(agent.sync(customer_ids=["acme"]))
    agent.sync().cancel()
    answer = agent.answer(agent.repeat(wants=[want(20)]))
    assert (answer.sync_no, len(answer.leases)) == (3, 1)


def test_an_acquisition_has_idle_leases_recalled_within_its_own_call(
    channel: grpc.Channel, world: LeaseWorld
) -> None:
    idle, busy = (Agent(channel, name=name) for name in AGENTS)
    idle.answer(idle.sync(customer_ids=["acme"], wants=[want(10)]))
    assert idle.acquire(world.key("daily").window_id, amount=700) >= 700

    def serve_recalls() -> None:
        # What an agent does all the time: the next sync begins as soon as one is answered.
        while not is_over.is_set():
            idle.answer(idle.sync(wants=[]))

    is_over = threading.Event()
    thread = threading.Thread(target=serve_recalls)
    thread.start()
    # The first try finds the recall on its way; it is answered within 200 ms or so.
    for _ in range(20):
        granted = busy.acquire(world.key("daily").window_id, amount=600)
        if granted:
            break
    is_over.set()
    world.limit(units("daily", 2_000))
    thread.join(SECONDS_MAX)
    assert granted >= 600


def test_two_hundred_waiting_syncs_hold_no_thread(channel: grpc.Channel) -> None:
    agent = Agent(channel, name="one")
    agent.answer(agent.sync(customer_ids=["acme"]))
    agent.sync_no += 1
    waiting = [agent.repeat() for _ in range(200)]
    for _ in range(5):
        # A push and a sync get through meanwhile.
        checked = agent.ingest.CheckAgent(
            ingest_pb2.CheckAgentRequest(), metadata=agent.metadata, timeout=SECONDS_MAX
        )
        assert checked.agent_id == "agt_one"
    other = Agent(channel, name="two")
    assert other.answer(other.sync(answer_at_once=True)).result == lease_pb2.LEASE_RESULT_OK
    assert not any(future.done() for future in waiting)
    for future in waiting:
        future.cancel()


def test_a_stop_answers_the_syncs_that_wait(world: LeaseWorld, store: SqlStore) -> None:
    server = serving(world, store, hang_seconds=600)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        agent = Agent(channel, name="one")
        agent.answer(agent.sync(customer_ids=["acme"]))
        waiting = agent.sync()
        with pytest.raises(grpc.FutureTimeoutError):
            waiting.result(timeout=0.2)
        server.stop()
        assert waiting.result(SECONDS_MAX).result == lease_pb2.LEASE_RESULT_OK


@pytest.mark.postgresql
def test_a_server_wakes_the_agents_of_another_one(postgresql_url: str) -> None:
    mine, other = open_store(postgresql_url), open_store(postgresql_url)
    world = LeaseWorld(mine, units("daily", 1_000))
    with mine.write() as unit:
        unit.agents.enroll(
            agent_id="agt_one",
            name="one",
            token_sha256=hashlib.sha256(b"one").hexdigest(),
            create_time=START,
        )
    server = serving(world, other)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        agent = Agent(channel, name="one")
        agent.answer(agent.sync(customer_ids=["acme"]))
        waiting = agent.sync(wants=[want(20)])
        agent.answer(waiting)
        waiting = agent.sync(wants=[want(20)])
        world.limit(units("daily", 5_000))
        assert agent.answer(waiting).customers[0].limits[0].max == 5_000
    server.stop()
    for store in (mine, other):
        store.close()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"leases": [lease_pb2.LeaseCounters(lease_id=b"short")]}, "leases[0].lease_id has 5"),
        ({"customer_ids": ["c"] * 1_001}, "customer_ids has 1001 entries"),
    ],
)
def test_a_malformed_sync_is_refused_by_name(
    channel: grpc.Channel, fields: dict[str, Any], named: str
) -> None:
    agent = Agent(channel, name="one")
    with pytest.raises(grpc.RpcError) as caught:
        agent.sync(**fields).result(SECONDS_MAX)
    refusal = error_from_rpc(caught.value)
    assert refusal.reason == "LEASE_REQUEST_MALFORMED"
    assert named in refusal.message


def test_money_comes_with_what_usage_can_cost(channel: grpc.Channel, world: LeaseWorld) -> None:
    world.limit(
        replace(money("cap", "20"), key="cap"),
        Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8)),
    )
    agent = Agent(channel, name="one")
    answer = agent.answer(agent.sync(customer_ids=["acme"]))
    cap, slots = answer.customers[0].limits
    assert (cap.kind, cap.max, cap.decimals, cap.currency) == (
        lease_pb2.LIMIT_KIND_MONEY,
        20_000_000,
        6,
        "USD",
    )
    assert (slots.kind, slots.max) == (lease_pb2.LIMIT_KIND_CONCURRENCY, 8)
    prices = {(each.meter_key, tuple(each.where.items())): each for each in cap.prices}
    large = prices["input_tokens", (("model", "large"),)]
    assert [(step.from_quantity, step.unit_price) for step in large.steps] == [("0", "0.02")]
    # The included units come first, and nobody keeps account of them in money: the first paid
    # price is reachable at once.
    plain = prices["input_tokens", ()]
    assert [(step.from_quantity, step.unit_price) for step in plain.steps] == [
        ("0", "0.01"),
        ("10000", "0.005"),
    ]
    assert prices["peak", ()].is_not_estimable
