"""The gRPC edge over a real channel: tokens, bounds, answers, health. On both databases."""

import hashlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from billing_server.edge.grpc.server import SERVICE_NAMES, IngestServer, Reflection
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2, lease_pb2_grpc, usage_pb2
from metering.clock import ManualClock
from metering.errors import MeteringError, UnavailableError
from metering.rpc import bearer_metadata, error_from_rpc
from tests.billing_server.ingest_world import NOON, START, IngestWorld, event

TOKEN = "mat_a-token"
NONCE = b"n" * 16
RECEIVED = Timestamp(seconds=1_773_144_030)


class Caller:
    """An agent's side of the wire."""

    def __init__(self, channel: grpc.Channel, *, token: str) -> None:
        self.ingest: Any = ingest_pb2_grpc.IngestServiceStub(channel)  # type: ignore[no-untyped-call]
        self.metadata = bearer_metadata(token)

    def open(self, **changes: Any) -> ingest_pb2.OpenSessionResponse:
        fields = {
            "disk_id": b"d" * 16,
            "nonce": NONCE,
            "sync_no": 1,
            "next_seq": 1,
            "earliest_kept_seq": 1,
        }
        request = ingest_pb2.OpenSessionRequest(**(fields | changes))
        return self._answered(self.ingest.OpenSession, request)

    def push(
        self,
        opened: ingest_pb2.OpenSessionResponse,
        *blocks: ingest_pb2.UsageBlock,
        first_seq: int = 1,
    ) -> ingest_pb2.PushUsageResponse:
        request = ingest_pb2.PushUsageRequest(
            server_incarnation=opened.server_incarnation,
            session_no=opened.session_no,
            first_seq=first_seq,
            blocks=blocks,
        )
        return self._answered(self.ingest.PushUsage, request)

    def _answered(self, method: Any, request: Any) -> Any:
        try:
            return method(request, metadata=self.metadata, timeout=20)
        except grpc.RpcError as error:
            raise error_from_rpc(error) from None


def block(
    *events: usage_pb2.UsageEvent, first_seq: int = 1, **changes: Any
) -> ingest_pb2.UsageBlock:
    fields = {
        "first_seq": first_seq,
        "event_count": len(events),
        "receive_time": RECEIVED,
        "events": ingest_pb2.UsageEvents(events=events).SerializeToString(),
    }
    return ingest_pb2.UsageBlock(**(fields | changes))


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    world = IngestWorld(store)
    with store.write() as unit:
        unit.agents.enroll(
            agent_id="agt_1",
            name="host-1",
            token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(),
            create_time=START,
        )
    return world


@pytest.fixture
def server(world: IngestWorld) -> Iterator[IngestServer]:
    server = IngestServer(
        store=world.store,
        clock=ManualClock(NOON),
        listen="127.0.0.1:0",
        reflection_mode=Reflection.ON,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def channel(server: IngestServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture
def caller(channel: grpc.Channel) -> Caller:
    return Caller(channel, token=TOKEN)


def test_a_check_names_the_agent_and_touches_no_session(caller: Caller) -> None:
    opened = caller.open()
    answer = caller._answered(caller.ingest.CheckAgent, ingest_pb2.CheckAgentRequest())
    assert (answer.agent_id, answer.server_time.ToDatetime(tzinfo=NOON.tzinfo)) == ("agt_1", NOON)
    # The session goes on: a check from an operator's shell never fences the running agent.
    assert caller.push(opened, block(event("e1"))).result == ingest_pb2.PUSH_RESULT_APPLIED


def test_a_check_with_an_unknown_token_is_refused(channel: grpc.Channel) -> None:
    stranger = Caller(channel, token="mat_nobody")
    with pytest.raises(MeteringError) as caught:
        stranger._answered(stranger.ingest.CheckAgent, ingest_pb2.CheckAgentRequest())
    assert caught.value.reason == "TOKEN_UNKNOWN"


def test_a_session_is_opened_and_usage_counted(caller: Caller, world: IngestWorld) -> None:
    opened = caller.open()
    assert (opened.agent_id, opened.session_no, opened.applied_seq) == ("agt_1", 1, 0)
    assert (opened.push_event_count_max, opened.push_bytes_max) == (5_000, 4 * 1024 * 1024)
    assert opened.server_time.ToDatetime(tzinfo=NOON.tzinfo) == NOON
    answer = caller.push(
        opened,
        block(event("e1"), event("e2")),
        block(event("e2"), event("e1", customer="nobody"), first_seq=3),
    )
    assert answer == ingest_pb2.PushUsageResponse(
        result=ingest_pb2.PUSH_RESULT_APPLIED,
        applied_seq=4,
        safe_seq=4,
        server_incarnation=opened.server_incarnation,
        counted=2,
        duplicates=1,
        quarantined=1,
    )
    assert world.totals() == {("input_tokens", ""): 200}


def test_a_fenced_and_a_gapped_push_are_answers_and_not_errors(caller: Caller) -> None:
    old = caller.open()
    opened = caller.open(nonce=b"m" * 16, sync_no=2)
    assert caller.push(old, block(event("e1"))).result == ingest_pb2.PUSH_RESULT_FENCED
    gap = caller.push(opened, block(event("e5"), first_seq=5), first_seq=5)
    assert (gap.result, gap.applied_seq) == (ingest_pb2.PUSH_RESULT_GAP, 0)


@pytest.mark.parametrize(("token", "reason"), [("wrong", "TOKEN_UNKNOWN"), ("", "TOKEN_MISSING")])
def test_an_unknown_token_is_unauthenticated_and_the_remedy_is_named(
    channel: grpc.Channel, token: str, reason: str
) -> None:
    with pytest.raises(MeteringError, match="agent enroll") as raised:
        Caller(channel, token=token).open()
    assert raised.value.reason == reason
    assert raised.value.kind.grpc_status == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("bad", "reason", "named"),
    [
        (block(event("e1"), event_count=2), "BLOCK_COUNT_WRONG", r"blocks\[1\]: event_count is 2"),
        (block(event("e1"), events=b"\x12\x00"), "BLOCK_COUNT_WRONG", r"holds 0 events"),
        (block(event("e1"), events=b"\x0a\xff\xff"), "BLOCK_MALFORMED", r"blocks\[1\]: events"),
        (block(event("e1"), event_count=0), "BLOCK_MALFORMED", r"blocks\[1\]"),
        (block(event("e1"), first_seq=7), "BLOCK_POSITION_WRONG", r"blocks\[1\]: first_seq is 7"),
        (
            block(event("e1"), receive_time=Timestamp(seconds=-1)),
            "TIMESTAMP_MALFORMED",
            r"blocks\[1\].receive_time",
        ),
        (block(event("e1"), event_count=5_000), "PUSH_TOO_LARGE", "5001 events"),
    ],
)
def test_a_malformed_block_is_named_and_nothing_of_the_push_is_counted(
    caller: Caller, world: IngestWorld, bad: ingest_pb2.UsageBlock, reason: str, named: str
) -> None:
    if bad.first_seq == 1:
        bad.first_seq = 2
    with pytest.raises(MeteringError, match=named) as raised:
        caller.push(caller.open(), block(event("e0")), bad)
    assert raised.value.reason == reason
    assert raised.value.kind.grpc_status == "INVALID_ARGUMENT"
    assert world.totals() == {}


def test_a_push_of_too_many_bytes_is_refused_by_name(caller: Caller) -> None:
    filler = {f"k{n:02}": "v" * 256 for n in range(16)}
    events = [event(f"e{n:04}", dimensions=filler) for n in range(1_000)]
    with pytest.raises(MeteringError, match="at most 5000 events in 4194304 bytes"):
        caller.push(caller.open(), block(*events))


def test_a_call_about_leases_without_a_token_is_refused(channel: grpc.Channel) -> None:
    stub: Any = lease_pb2_grpc.LeaseServiceStub(channel)  # type: ignore[no-untyped-call]
    for method, request in (
        (stub.SyncLeases, lease_pb2.SyncLeasesRequest()),
        (stub.AcquireLease, lease_pb2.AcquireLeaseRequest()),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            method(request, timeout=20)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_each_service_has_its_health(channel: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    for name in ("", *SERVICE_NAMES):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services_where_it_is_on(channel: grpc.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = stub.ServerReflectionInfo(asked, timeout=20)
    names = {service.name for service in answer.list_services_response.service}
    assert set(SERVICE_NAMES) <= names


def test_a_port_in_use_is_named_with_its_remedy(server: IngestServer, world: IngestWorld) -> None:
    with pytest.raises(UnavailableError, match="--grpc-listen") as raised:
        IngestServer(store=world.store, clock=world.clock, listen=f"127.0.0.1:{server.port}")
    assert raised.value.reason == "PORT_IN_USE"


def test_a_second_stop_does_nothing(world: IngestWorld) -> None:
    server = IngestServer(store=world.store, clock=ManualClock(NOON), listen="127.0.0.1:0")
    server.start()
    server.stop()
    server.stop()
