"""`billing-server serve` as a real process: from a first start to an invoice, and a clean stop."""

import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, usage_pb2
from metering.rpc import bearer_metadata
from tests.billing_server.world import CATALOG
from tools.programs import BIN, Program, free_port, run_command, server_program

EVENT_TIME = datetime(2026, 2, 10, 12, tzinfo=UTC)


class Server:
    """A server process with its data below one folder."""

    def __init__(self, room: Path) -> None:
        """Chooses ports; starts nothing."""
        self.data_dir = room / "data"
        self.http_port, self.grpc_port = free_port(), free_port()
        self.program: Program = server_program(
            self.data_dir,
            grpc_port=self.grpc_port,
            http_port=self.http_port,
            extra=["--test-clock=2026-01-31T10:00:00Z"],
        )

    def run(self, *words: str | Path) -> str:
        """Runs a command against this server."""
        return run_command(
            "billing-server",
            *words,
            env={
                "BILLING_SERVER_URL": f"http://127.0.0.1:{self.http_port}",
                "BILLING_SERVER_DATA_DIR": str(self.data_dir),
            },
        )

    def push(self, token: str, *, tokens: int) -> ingest_pb2.PushUsageResponse:
        """Opens a session and pushes one event, as an agent does."""
        when = Timestamp()
        when.FromDatetime(EVENT_TIME)
        event = usage_pb2.UsageEvent(
            event_id="event-1",
            customer_id="acme",
            event_time=when,
            quantities={"tokens": str(tokens)},
            dimensions={"model": "large"},
        )
        metadata = bearer_metadata(token)
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            session = stub.OpenSession(
                ingest_pb2.OpenSessionRequest(
                    disk_id=b"d" * 16, nonce=b"n" * 16, sync_no=1, next_seq=2, earliest_kept_seq=1
                ),
                metadata=metadata,
                timeout=10,
            )
            block = ingest_pb2.UsageBlock(
                first_seq=1,
                event_count=1,
                receive_time=when,
                events=ingest_pb2.UsageEvents(events=[event]).SerializeToString(),
            )
            return stub.PushUsage(
                ingest_pb2.PushUsageRequest(
                    server_incarnation=session.server_incarnation,
                    session_no=session.session_no,
                    first_seq=1,
                    blocks=[block],
                ),
                metadata=metadata,
                timeout=10,
            )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.program.start()
    yield made
    made.program.kill()


def test_from_a_first_start_to_an_invoice_through_a_kill_and_a_clean_stop(
    server: Server, tmp_path: Path
) -> None:
    catalog, token_file = tmp_path / "catalog.yaml", tmp_path / "token"
    catalog.write_text(CATALOG)
    assert "4 changes applied" in server.run("apply", catalog)
    server.run("agent", "enroll", "host-1", f"--token-file={token_file}")
    answer = server.push(token_file.read_text().strip(), tokens=1500)
    assert (answer.result, answer.counted) == (ingest_pb2.PUSH_RESULT_APPLIED, 1)
    server.program.kill()
    server.program.start()
    shown = json.loads(server.run("customers", "show", "acme", "--json"))
    assert shown["upcoming_invoice"]["total"] == "25.00"
    server.run("clock", "advance-to", "2026-02-28T11:00:00Z")
    invoices = json.loads(server.run("invoices", "list", "--json"))
    assert [(invoice["number"], invoice["total"]) for invoice in invoices] == [
        ("INV-000001", "20.00"),
        ("INV-000002", "25.00"),
    ]
    assert server.program.stop() == 0
    server.program.start()
    assert server.run("clock", "show") == "2026-02-28T11:00:00Z (test clock)\n"


def test_wrong_token_is_refused_over_grpc(server: Server) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.push("mat_wrong", tokens=1)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flag", "named"), [("--http-listen", "http-listen"), ("--grpc-listen", "grpc-listen")]
)
def test_a_port_in_use_is_told_with_the_flag_to_change(
    tmp_path: Path, flag: str, named: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listen = {"--http-listen": "127.0.0.1:0", "--grpc-listen": "127.0.0.1:0", flag: address}
        done = subprocess.run(
            [str(BIN / "billing-server"), "serve", f"--data-dir={tmp_path}"]
            + [f"{name}={value}" for name, value in listen.items()],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"{named}: cannot listen on {address}" in done.stderr
    assert flag in done.stderr


def test_a_wrong_setting_ends_the_start_with_its_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "billing-server"), "serve", f"--data-dir={tmp_path}", "--grace=1h"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("grace: ")


def _described_services(port: int) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [answer] = stub.ServerReflectionInfo(iter([request]), timeout=10)
        return {service.name for service in answer.list_services_response.service}


def test_services_are_described_to_tools_only_where_that_is_asked_for(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        server.program.start()
        with pytest.raises(grpc.RpcError) as caught:
            _described_services(server.grpc_port)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        server.program.stop()
        config = tmp_path / "server.toml"
        config.write_text('grpc_reflection = "on"\n')
        server.program.arguments = [*server.program.arguments, f"--config={config}"]
        server.program.start()
        assert "metering.api.v1.IngestService" in _described_services(server.grpc_port)
    finally:
        server.program.stop()
