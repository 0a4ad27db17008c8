"""The way to the server: its address, what answers there, the token, the clocks."""

import socket
import stat
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meter_agent.doctor.finding import Finding, error, ok, warning
from meter_agent.edge.addresses import parse_address
from meter_agent.uplink.token import TokenSource
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc
from metering.clock import Clock, format_instant
from metering.errors import ValidationError
from metering.rpc import bearer_metadata, error_from_rpc

CALL_SECONDS: Final = 5.0
CLOCK_WARN_SECONDS: Final = 5.0
"""Clocks this far apart are worth a look."""
CLOCK_ERROR_SECONDS: Final = 300.0
"""Clocks this far apart put events outside the accept window of 5 minutes ahead."""
INGEST_SERVICE: Final = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name

_ENROLL = "make one with `billing-server agent enroll NAME`"


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """How far the doctor got."""

    findings: list[Finding]
    """What was found on the way."""
    is_ours: bool
    """Whether a billing server answers there."""


def check_token(token_file: Path | None, *, token: str | None) -> list[Finding]:
    """Looks at the token without showing it: there, readable, closed to others."""
    try:
        shown = TokenSource(token_file=token_file, token=token).read()
    except ValidationError as malformed:
        what, _, remedy = malformed.message.partition(": ")
        return [error("token", malformed.reason, what, remedy=remedy)]
    if token_file is None:
        if shown:
            return [ok("token", "it is given by METER_AGENT_TOKEN")]
        return [_token_missing("there is no token")]
    try:
        mode = token_file.stat().st_mode
    except OSError as refused:
        return [_token_missing(f"{token_file}: {refused.strerror}")]
    if not shown:
        return [_token_missing(f"{token_file} is empty, or this user may not read it")]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [
            warning(
                "token",
                "TOKEN_FILE_OPEN",
                f"{token_file} may be read by others (mode {stat.S_IMODE(mode):04o})",
                remedy=f"chmod 600 {token_file}; where others may have read it: "
                "`billing-server agent rotate NAME`",
            )
        ]
    return [ok("token", f"{token_file} holds one, closed to others")]


def check_address(server: str) -> list[Finding]:
    """Looks whether anything listens at the server's address."""
    address = parse_address(server, flag="--server")
    if address.socket_path is not None:
        return [ok("server", f"{server} is a socket")]
    try:
        found = socket.getaddrinfo(address.host.strip("[]"), address.port, type=socket.SOCK_STREAM)
    except OSError as refused:
        return [
            error(
                "server",
                "SERVER_NAME_UNKNOWN",
                f"the name {address.host} cannot be looked up ({refused})",
                remedy="check --server for a mistake, and this host's name service "
                f"(`getent hosts {address.host}`)",
            )
        ]
    # A name may have several: localhost is often ::1 first, where the server does not listen.
    refusals = []
    for host in dict.fromkeys(str(each[4][0]) for each in found):
        try:
            with socket.create_connection((host, address.port), timeout=CALL_SECONDS):
                return [ok("server", f"{server} is listening")]
        except OSError as refused:
            refusals.append(f"{host}: {refused}")
    return [
        error(
            "server",
            "SERVER_UNREACHABLE",
            f"{server} cannot be reached ({'; '.join(refusals)})",
            remedy="check that `billing-server serve` runs and listens on this address "
            "(--grpc-listen, 127.0.0.1:4280 unless it is set), and the firewall between; "
            "until then the agent buffers",
        )
    ]


def check_service(channel: grpc.Channel, *, server: str) -> ServerAnswer:
    """Asks who answers there."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=INGEST_SERVICE)
    try:
        answer = stub.Check(request, timeout=CALL_SECONDS)
    except grpc.RpcError as refused:
        return ServerAnswer([_not_ours(refused, server=server)], is_ours=False)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return ServerAnswer(
            [
                warning(
                    "server",
                    "SERVER_NOT_SERVING",
                    f"the server {server} says that it does not serve",
                    remedy="it is starting or stopping: look at its log; the agent buffers",
                )
            ],
            is_ours=True,
        )
    return ServerAnswer([ok("server", f"a billing server answers at {server}")], is_ours=True)


def check_agent(channel: grpc.Channel, *, server: str, token: str, clock: Clock) -> list[Finding]:
    """Shows the token to the server, and compares the clocks."""
    stub = ingest_pb2_grpc.IngestServiceStub(channel)  # type: ignore[no-untyped-call]
    start = clock.now()
    try:
        answer = stub.CheckAgent(
            ingest_pb2.CheckAgentRequest(), metadata=bearer_metadata(token), timeout=CALL_SECONDS
        )
    except grpc.RpcError as refused:
        return [_refused(refused, server=server)]
    findings = [ok("token", f"the server takes it: this is agent {answer.agent_id}")]
    middle = start + (clock.now() - start) / 2
    theirs = answer.server_time.ToDatetime(tzinfo=UTC)
    ahead = (middle - theirs).total_seconds()
    where = "ahead of" if ahead > 0 else "behind"
    told = f"this host's clock is {abs(ahead):.1f} s {where} the server's"
    remedy = (
        "synchronize both hosts (`timedatectl`, chrony or systemd-timesyncd); events keep the "
        f"time that this host gives them. The server says {format_instant(theirs)}, which may be "
        "its test clock"
    )
    if abs(ahead) >= CLOCK_ERROR_SECONDS:
        return [*findings, error("clock", "CLOCK_OFF", told, remedy=remedy)]
    if abs(ahead) >= CLOCK_WARN_SECONDS:
        return [*findings, warning("clock", "CLOCK_OFF", told, remedy=remedy)]
    return [*findings, ok("clock", told)]


def _token_missing(why: str) -> Finding:
    return error(
        "token",
        "TOKEN_MISSING",
        f"{why}: the agent buffers and ships nothing",
        remedy=f"{_ENROLL} and give it with --token-file (mode 0600) or METER_AGENT_TOKEN; "
        "or give a fleet's join token with --join-token-file",
    )


def _not_ours(refused: grpc.RpcError, *, server: str) -> Finding:
    code = refused.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return error(
            "server",
            "SERVER_SILENT",
            f"{server} takes connections and answers nothing within {CALL_SECONDS:.0f} s",
            remedy="something between may hold the connection (a proxy or firewall), or the "
            "server hangs: look at its log",
        )
    return error(
        "server",
        "SERVER_WRONG_SERVICE",
        f"what listens at {server} is no billing server's gRPC port ({code.name})",
        remedy="--server names the gRPC port (4280 unless --grpc-listen says otherwise), not the "
        "HTTP port (8080) and not an agent (4270)",
    )


def _refused(refused: grpc.RpcError, *, server: str) -> Finding:
    code = refused.code()
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return error(
            "token",
            "TOKEN_REFUSED",
            f"the server {server} refuses the token ({error_from_rpc(refused).message})",
            remedy="`billing-server agents list` shows who is enrolled; get a new token with "
            "`billing-server agent rotate NAME`, or `agent enroll NAME`, and write it into the "
            "token file: the running agent takes it at once",
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return warning(
            "token",
            "SERVER_OLDER",
            f"the server {server} is older and cannot say whether the token is good",
            remedy="look at `meter-agent status`; upgrade the server",
        )
    return error(
        "token",
        "SERVER_FAILED",
        f"the server {server} answered {code.name}: {error_from_rpc(refused).message}",
        remedy="look at the server's log",
    )
