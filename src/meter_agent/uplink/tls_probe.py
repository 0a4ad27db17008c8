"""Says why no connection comes about where TLS may be the reason: gRPC itself tells little."""

import socket
import ssl
from typing import Final

from meter_agent.uplink.tls import TlsMaterial

PROBE_SECONDS: Final = 2.0
"""Bound of each step of a probe."""

_UNKNOWN_AUTHORITY: Final = (2, 18, 19, 20, 21)
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_NAME: Final = (62, 64)
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")


def explain(server: str, *, material: TlsMaterial | None) -> str | None:
    """Returns what is wrong and the remedy; None where TLS is not the reason.

    Args:
        server: HOST:PORT.
        material: What the agent would show and trust; None where it speaks plain text.
    """
    if server.startswith("unix:"):
        return None
    try:
        if material is None:
            return _explain_plain(server)
        return _explain_tls(server, material)
    except OSError:  # Nothing listens, or nothing answers: that is told already.
        return None


def _shake_hands(server: str, context: ssl.SSLContext) -> bool:
    """Connects, and returns whether the server goes on after it has looked at the certificate.

    Some close without a word, some say why in an alert. A server that goes on speaks first.
    """
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        try:
            return bool(connection.recv(1))
        except ConnectionError:
            return False


def _explain_plain(server: str) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        _shake_hands(server, context)
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return None
    return (
        f"the server {server} speaks TLS and this agent does not: give --tls on, and --server-ca "
        "FILE where a private authority signed its certificate"
    )


def _explain_tls(server: str, material: TlsMaterial) -> str | None:
    try:
        is_welcome = _shake_hands(server, material.context)
    except ssl.SSLCertVerificationError as error:
        return _explain_certificate(server, error)
    except ssl.SSLError as error:
        reason = error.reason or ""
        if reason in _NO_TLS:
            return _explain_no_tls(server)
        return _explain_refusal(server, material) if "ALERT" in reason else None
    except ConnectionResetError:
        return _explain_no_tls(server)
    return None if is_welcome else _explain_refusal(server, material)


def _explain_certificate(server: str, error: ssl.SSLCertVerificationError) -> str:
    why = error.verify_message
    if error.verify_code == _EXPIRED:
        remedy = "renew it at the server, which takes it without a restart; check this host's clock"
    elif error.verify_code == _NOT_YET_VALID:
        remedy = "check this host's clock, and from when the certificate is valid"
    elif error.verify_code in _WRONG_NAME:
        remedy = (
            "name the server in --server as its certificate does, or give the server a "
            "certificate for this name"
        )
    elif error.verify_code in _UNKNOWN_AUTHORITY:
        remedy = "give the certificate of the authority that signed it with --server-ca FILE"
    else:
        remedy = "give the server a certificate that this host can verify"
    return f"the certificate of the server {server} is not accepted ({why}): {remedy}"


def _explain_no_tls(server: str) -> str:
    return (
        f"what listens at {server} speaks no TLS: start the server with --tls-cert and --tls-key; "
        "on a network that you trust, --tls off sends usage and the agent's token in plain text"
    )


def _explain_refusal(server: str, material: TlsMaterial) -> str:
    if material.chain is None:
        return (
            f"the server {server} wants a certificate of the agent: give one that its "
            "--tls-client-ca has signed with --tls-cert and --tls-key"
        )
    return (
        f"the server {server} refuses the agent's certificate: give one that is valid now and "
        "signed by the authority of the server's --tls-client-ca with --tls-cert and --tls-key"
    )
