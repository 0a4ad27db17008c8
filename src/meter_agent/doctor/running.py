"""The running agent: whether services reach it, and what it says of itself."""

import grp
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc

from meter_agent.doctor.finding import Finding, error, ok, warning
from meter_agent.edge.addresses import Address
from metering.api.v1 import agent_pb2, agent_pb2_grpc

CALL_SECONDS: Final = 5.0


def check_addresses(addresses: Sequence[Address]) -> list[Finding]:
    """Looks at each address where services would call, and asks the first agent that answers."""
    findings: list[Finding] = []
    answering = None
    for address in addresses:
        found = _check_socket(address.socket_path) if address.socket_path else []
        if answering is None:
            answering = _status(address)
        findings += found
    if answering is None:
        where = ", ".join(address.target for address in addresses)
        findings.append(
            warning(
                "agent",
                "AGENT_NOT_RUNNING",
                f"no agent answers at {where}",
                remedy="start it (`systemctl start meter-agent`, or `meter-agent serve`), or say "
                "where it listens with --listen as `serve` has it",
            )
        )
        return findings
    return findings + judge_status(answering)


def judge_status(status: agent_pb2.GetAgentStatusResponse) -> list[Finding]:
    """Returns what is worth a look in what the agent says of itself."""
    findings = [
        ok(
            "agent",
            f"version {status.version} runs and holds {status.buffered_event_count:,} events",
        )
    ]
    if status.imbalance_count:
        findings.append(
            error(
                "events",
                "CONSERVATION_BROKEN",
                f"the count of events is off by {status.imbalance_count:,}: some are lost or "
                "counted twice",
                remedy="keep the log (event conservation_broken) and the data directory, and "
                "report it: this is a bug",
            )
        )
    if status.declared_lost_count:
        findings.append(
            error(
                "events",
                "EVENTS_LOST",
                f"{status.declared_lost_count:,} events are lost: the server went back behind "
                "what this agent still keeps",
                remedy="restore the server from a newer backup if there is one; see the server's "
                "list of losses",
            )
        )
    waiting = status.quarantined_count + status.conflict_count
    if waiting:
        findings.append(
            warning(
                "events",
                "EVENTS_NOT_COUNTED",
                f"{status.quarantined_count:,} events are quarantined and "
                f"{status.conflict_count:,} have an id that was used with other content",
                remedy="`billing-server quarantine list` says why; conflicts are a caller that "
                "uses one id for two events",
            )
        )
    if status.last_error:
        findings.append(
            warning(
                "agent",
                "NOT_SHIPPING",
                f"the agent does not ship: {status.last_error}",
                remedy="see the findings on the server and the token",
            )
        )
    return findings


def _check_socket(path: Path) -> list[Finding]:
    try:
        found = path.stat()
    except PermissionError:
        return [_unreachable(path, "this user may not enter its directory")]
    except OSError:
        return []  # No agent runs there, which is a finding of its own.
    if not stat.S_ISSOCK(found.st_mode):
        return [
            error(
                "socket",
                "ADDRESS_IN_USE",
                f"{path} is a file and no socket",
                remedy="move it away, or give another address with --listen",
            )
        ]
    refusal = _connection_refusal(path)
    if isinstance(refusal, PermissionError):
        return [_unreachable(path, "this user may not write to it")]
    if refusal is not None:
        return [
            warning(
                "socket",
                "SOCKET_STALE",
                f"nobody listens on {path}: it was left by an agent that was killed",
                remedy="start the agent; it replaces the socket by itself",
            )
        ]
    others = stat.S_IMODE(found.st_mode) & stat.S_IRWXO
    group = _group_name(found.st_gid)
    if not others and found.st_uid == found.st_gid == 0:
        return [
            warning(
                "socket",
                "SOCKET_FOR_ROOT_ONLY",
                f"{path} belongs to root:root: services of other users cannot call",
                remedy="give it a group with --socket-group, and add the services' users to it",
            )
        ]
    return [ok("socket", f"{path} is open to the group {group}")]


def _connection_refusal(path: Path) -> OSError | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CALL_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError as refused:
            return refused
    return None


def _unreachable(path: Path, why: str) -> Finding:
    return error(
        "socket",
        "SOCKET_NOT_REACHABLE",
        f"{path}: {why}",
        remedy="add the service's user to the socket's group (`usermod -aG GROUP USER`, then "
        "restart the service); the agent sets the group with --socket-group",
    )


def _group_name(group_id: int) -> str:
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)


def _status(address: Address) -> agent_pb2.GetAgentStatusResponse | None:
    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(address.target, options=options) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            answer: agent_pb2.GetAgentStatusResponse = stub.GetAgentStatus(
                agent_pb2.GetAgentStatusRequest(), timeout=CALL_SECONDS
            )
        except grpc.RpcError:
            return None
    return answer
