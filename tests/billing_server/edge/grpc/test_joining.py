"""JoinFleet over a real connection. Both databases."""

import hashlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest

from billing_server.edge.grpc import ingest_service
from billing_server.edge.grpc.ingest_service import JOINS_AT_ONCE_MAX
from billing_server.edge.grpc.server import IngestServer
from billing_server.services.join_tokens import make_join_token
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc
from metering.clock import SystemClock
from metering.errors import AuthenticationError, UnavailableError
from metering.rpc import bearer_metadata, error_from_rpc
from tests.billing_server.world import make_context

OWN = "mat_own"
REQUEST = ingest_pb2.JoinFleetRequest(
    token_sha256=hashlib.sha256(OWN.encode()).digest(), host_name="host-1"
)


@pytest.fixture
def token(store: SqlStore) -> str:
    made = make_join_token(
        make_context(store), fleet="gpu", ttl=timedelta(days=1), agent_count_max=9
    )
    return made.token


@pytest.fixture
def stub(store: SqlStore) -> Iterator[Any]:
    server = IngestServer(store=store, clock=SystemClock(), listen="127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)
    server.stop()


def call(method: Any, request: Any, *, token: str) -> Any:
    try:
        return method(request, metadata=bearer_metadata(token), timeout=20)
    except grpc.RpcError as error:
        raise error_from_rpc(error) from None


def test_a_host_joins_and_then_calls_under_its_own_token(stub: Any, token: str) -> None:
    joined = call(stub.JoinFleet, REQUEST, token=token)
    assert joined.name == "gpu-host-1"
    assert call(stub.JoinFleet, REQUEST, token=token) == joined
    checked = call(stub.CheckAgent, ingest_pb2.CheckAgentRequest(), token=OWN)
    assert checked.agent_id == joined.agent_id
    for wrong, request, method in (
        (OWN, REQUEST, stub.JoinFleet),
        (token, ingest_pb2.CheckAgentRequest(), stub.CheckAgent),
    ):
        with pytest.raises(AuthenticationError):
            call(method, request, token=wrong)


def test_hosts_that_join_leave_threads_to_those_that_push(
    stub: Any, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, waiting = threading.Event(), threading.Semaphore(0)
    real = ingest_service.join_fleet

    def slow(*arguments: Any, **named: Any) -> Any:
        waiting.release()
        assert go_on.wait(20)
        return real(*arguments, **named)

    monkeypatch.setattr(ingest_service, "join_fleet", slow)
    calls = [
        stub.JoinFleet.future(REQUEST, metadata=bearer_metadata(token), timeout=20)
        for _ in range(JOINS_AT_ONCE_MAX)
    ]
    for _ in calls:
        assert waiting.acquire(timeout=20)
    with pytest.raises(UnavailableError) as refused:
        call(stub.JoinFleet, REQUEST, token=token)
    assert (refused.value.reason, refused.value.retry_after_seconds) == ("JOINS_BUSY", 1.0)
    go_on.set()
    assert {each.result().name for each in calls} == {"gpu-host-1"}
    assert call(stub.JoinFleet, REQUEST, token=token).name == "gpu-host-1"
