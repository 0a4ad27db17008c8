"""The certificates between agent and server."""

from meter_agent.doctor.finding import Finding, error, ok, warning
from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.tls import TlsMaterial, TlsSource, is_loopback
from meter_agent.uplink.tls_probe import explain


def check_tls(server: str, *, tls: TlsSource) -> tuple[list[Finding], TlsMaterial | None]:
    """Shakes hands with the server as the agent would.

    Returns:
        What was found, and what a channel needs; None for plain text.
    """
    material = None
    try:
        if tls.settings.is_spoken_to(server):
            material = tls.material()
    except UplinkError as refused:
        what, _, remedy = refused.message.partition(": ")
        return [error("tls", "TLS_FILE_UNUSABLE", what, remedy=remedy)], None
    wrong = explain(server, material=material)
    if wrong is not None:
        what, _, remedy = wrong.rpartition(": ")
        return [error("tls", "TLS_FAILED", what, remedy=remedy)], material
    if material is not None:
        return [ok("tls", f"{server} speaks TLS, and its certificate is accepted")], material
    if server.startswith("unix:") or is_loopback(server):
        return [], None
    return [
        warning(
            "tls",
            "TLS_OFF",
            f"--tls off: usage and the agent's token go to {server} in plain text",
            remedy="give the server --tls-cert and --tls-key, and leave out --tls off here; on a "
            "network that nobody else is on, this is fine",
        )
    ], None
