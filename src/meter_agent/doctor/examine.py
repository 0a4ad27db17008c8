"""All checks, in the order in which one mistake hides the next."""

import grpc

from meter_agent.config import AgentSettings
from meter_agent.doctor import disk, running, server
from meter_agent.doctor.finding import Finding, Severity, warning
from meter_agent.uplink.token import TokenSource
from metering.clock import Clock


def examine(settings: AgentSettings, *, clock: Clock) -> list[Finding]:
    """Looks at everything that the settings name, and changes nothing.

    Args:
        settings: As `serve` would take them.
        clock: Of this host.
    """
    directory = settings.data_directory
    findings = [
        *disk.check_directory(directory),
        *disk.check_free_space(directory, budget_bytes=settings.disk_budget_bytes),
        *disk.check_database(directory),
        *disk.check_sqlite(),
        *running.check_addresses(settings.addresses),
    ]
    if not settings.server:
        findings.append(
            warning(
                "server",
                "SERVER_MISSING",
                "no server is set: the agent buffers and ships nothing",
                remedy="give it with --server HOST:PORT, METER_AGENT_SERVER, or in the --config "
                "file that `serve` has",
            )
        )
        return findings
    return findings + _examine_server(settings, clock=clock)


def _examine_server(settings: AgentSettings, *, clock: Clock) -> list[Finding]:
    token = None if settings.token is None else settings.token.get_secret_value()
    findings = [
        *server.check_token(settings.token_file, token=token),
        *server.check_address(settings.server),
    ]
    if findings[-1].severity is Severity.ERROR:
        return findings
    with grpc.insecure_channel(settings.server) as channel:
        answer = server.check_service(channel, server=settings.server)
        findings += answer.findings
        shown = TokenSource(token_file=settings.token_file, token=token).read()
        if answer.is_ours and shown:
            findings += server.check_agent(
                channel, server=settings.server, token=shown, clock=clock
            )
    return findings
