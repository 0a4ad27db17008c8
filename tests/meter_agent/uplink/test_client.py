"""What a failed call to the server becomes."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc_status import rpc_status

from meter_agent.uplink.client import IngestClient, UplinkError
from metering.api.v1 import ingest_pb2, lease_pb2
from metering.errors import UnavailableError
from metering.rpc import status_message_from_error
from tests.meter_agent.fake_server import AGENT_ID, TOKEN, FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def test_a_call_presents_the_token_and_returns_the_answer(server: FakeServer) -> None:
    client = IngestClient(server.address, token=TOKEN)
    assert client.open_session(ingest_pb2.OpenSessionRequest(nonce=b"n")).agent_id == AGENT_ID
    answer = client.push_usage(ingest_pb2.PushUsageRequest())
    assert answer.result == ingest_pb2.PUSH_RESULT_FENCED
    client.close()


def test_a_wrong_token_is_refused_with_the_remedy_and_without_the_token(
    server: FakeServer,
) -> None:
    client = IngestClient(server.address, token="wrong-secret")
    with pytest.raises(UplinkError, match="into the token file") as caught:
        client.push_usage(ingest_pb2.PushUsageRequest())
    assert caught.value.is_refused
    assert caught.value.is_answered
    assert "wrong-secret" not in str(caught.value)
    client.close()


def test_a_server_that_is_away_is_named(server: FakeServer) -> None:
    server.stop()
    client = IngestClient(server.address, token=TOKEN)
    with pytest.raises(UplinkError, match=server.address) as caught:
        client.open_session(ingest_pb2.OpenSessionRequest())
    assert not caught.value.is_answered
    assert not caught.value.is_refused
    client.close()


def test_what_the_server_asks_to_wait_is_read_from_the_details(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(request: object, context: grpc.ServicerContext) -> None:
        error = UnavailableError(reason="BUSY", message="later", retry_after_seconds=1.5)
        context.abort_with_status(rpc_status.to_status(status_message_from_error(error)))

    monkeypatch.setattr(server, "open_session", busy)
    client = IngestClient(server.address, token=TOKEN)
    with pytest.raises(UplinkError, match="cannot serve now: later") as caught:
        client.open_session(ingest_pb2.OpenSessionRequest())
    assert caught.value.retry_after_seconds == 1.5
    client.close()


def test_any_other_status_is_an_answer_and_named(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: object, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not like this")

    monkeypatch.setattr(server, "push_usage", fail)
    client = IngestClient(server.address, token=TOKEN)
    with pytest.raises(UplinkError, match="INVALID_ARGUMENT: not like this") as caught:
        client.push_usage(ingest_pb2.PushUsageRequest())
    assert caught.value.is_answered
    client.close()


def test_a_call_that_nobody_answers_is_given_up_after_its_deadline(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(server, "push_usage", lambda *_: is_over.wait(30))
    client = IngestClient(server.address, token=TOKEN, call_seconds=1)
    with pytest.raises(UplinkError, match="did not answer within 1 s") as caught:
        client.push_usage(ingest_pb2.PushUsageRequest())
    is_over.set()
    assert (caught.value.is_answered, client.has_answered) == (False, False)
    client.close()


def test_a_call_about_leases_on_a_channel_that_was_given_up_says_so(server: FakeServer) -> None:
    """The two threads of the lease side share a channel: either may close it under the other."""
    client = IngestClient(server.address, token=TOKEN)
    client.close()
    with pytest.raises(UplinkError) as sync:
        client.begin_sync(lease_pb2.SyncLeasesRequest())
    with pytest.raises(UplinkError) as asked:
        client.acquire_lease(lease_pb2.AcquireLeaseRequest(), timeout_seconds=1)
    assert sync.value.is_given_up
    assert asked.value.is_given_up
