"""All checks, in the order in which one mistake hides the next."""

from meter_agent.config import AgentSettings
from meter_agent.doctor import disk, joining, running, server
from meter_agent.doctor import tls as tls_check
from meter_agent.doctor.finding import Finding, Severity, warning
from meter_agent.uplink.client import open_channel
from meter_agent.uplink.tls import TlsSource
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
    if not settings.servers:
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
    token = None if settings.token is None else settings.token.get_secret_value()
    if settings.token_file is None and token is None:
        found = joining.check_own_token(
            settings.own_token_file, join_token_file=settings.join_token_file
        )
    else:
        found = server.check_token(settings.token_file, token=token)
    findings += found
    is_usable = all(item.severity is not Severity.ERROR for item in found)
    shown = settings.tokens.read() if is_usable else ""
    for address in settings.servers:
        findings += _examine_server(
            address, tls=TlsSource(settings.tls_settings), token=shown, clock=clock
        )
    return findings


def _examine_server(address: str, *, tls: TlsSource, token: str, clock: Clock) -> list[Finding]:
    findings = server.check_address(address)
    if findings[-1].severity is Severity.ERROR:
        return findings
    found, material = tls_check.check_tls(address, tls=tls)
    findings += found
    if any(item.severity is Severity.ERROR for item in found):
        return findings
    credentials = None if material is None else material.channel_credentials()
    with open_channel(address, credentials=credentials) as channel:
        answer = server.check_service(channel, server=address)
        findings += answer.findings
        if answer.is_ours and token:
            findings += server.check_agent(channel, server=address, token=token, clock=clock)
    return findings
