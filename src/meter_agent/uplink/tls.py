"""TLS to the server: whether it is spoken, and with which files; they may change meanwhile."""

import ipaddress
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import grpc

from meter_agent.uplink.client import UplinkError

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
SYSTEM_CA_FILES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)
"""Where systems keep the authorities that they trust; the first one that is there counts."""

Fingerprint = tuple[tuple[int, ...], ...]


class TlsMode(StrEnum):
    """Whether the agent speaks TLS to the server."""

    AUTO = "auto"
    """With every server that is not on this host, and wherever a file of TLS is given."""
    ON = "on"
    OFF = "off"
    """Never: the token travels in plain text, which the operator has to say."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What the operator said about TLS."""

    mode: TlsMode = TlsMode.AUTO
    """Whether it is spoken."""
    server_ca: Path | None = None
    """PEM file of the authorities that may have signed the server's certificate; None: system's."""
    cert: Path | None = None
    """PEM file of the agent's own certificate and its chain; None: it shows none."""
    key: Path | None = None
    """PEM file of that certificate's key."""

    def is_spoken_to(self, server: str) -> bool:
        """Tells whether TLS is spoken to `HOST:PORT`; never over a Unix socket."""
        if self.mode is TlsMode.OFF or server.startswith("unix:"):
            return False
        has_files = self.server_ca is not None or self.cert is not None
        return self.mode is TlsMode.ON or has_files or not is_loopback(server)


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What a handshake needs, read at one moment."""

    authorities: bytes | None
    """PEM; None: those that gRPC brings along."""
    chain: bytes | None
    """PEM of the agent's own certificate; None: none."""
    key: bytes | None
    """PEM of its key. Never shown or logged."""
    context: ssl.SSLContext
    """The same for the standard library, by which a failed handshake is explained."""

    def __repr__(self) -> str:
        return "TlsMaterial(…)"

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Returns the same for gRPC."""
        return grpc.ssl_channel_credentials(self.authorities, self.key, self.chain)


class TlsSource:
    """Reads the files anew whenever a channel is opened.

    Args:
        settings: Which files.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self.settings: Final = settings

    def fingerprint(self) -> Fingerprint:
        """Returns something that changes when a file does; cheap enough for every call."""
        settings = self.settings
        return tuple(_stat_of(path) for path in (settings.server_ca, settings.cert, settings.key))

    def material(self) -> TlsMaterial:
        """Reads and checks the files.

        Raises:
            UplinkError: A file cannot be used; the message names its flag and the remedy.
        """
        settings = self.settings
        authorities = None if settings.server_ca is None else _read(settings.server_ca, "server-ca")
        chain = None if settings.cert is None else _read(settings.cert, "tls-cert")
        key = None if settings.key is None else _read(settings.key, "tls-key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        if authorities is None:
            authorities = _system_authorities()
        if authorities is None:
            context.load_default_certs()
        else:
            _load_authorities(context, authorities, path=settings.server_ca)
        if settings.cert is not None:
            _load_pair(context, settings)
        return TlsMaterial(authorities=authorities, chain=chain, key=key, context=context)


def is_loopback(server: str) -> bool:
    """Tells whether `HOST:PORT` is this host, by its address or the name localhost."""
    host = server.rpartition(":")[0].strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stat_of(path: Path | None) -> tuple[int, ...]:
    if path is None:
        return ()
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path, flag: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise UplinkError(
            message=f"--{flag} {path} cannot be read ({error.strerror}): put the file there, "
            "readable for the agent's user; it is taken without a restart",
            is_refused=True,
        ) from None


def _system_authorities() -> bytes | None:
    for path in SYSTEM_CA_FILES:
        if path.exists():
            return _read(path, "server-ca")
    return None


def _load_authorities(context: ssl.SSLContext, authorities: bytes, *, path: Path | None) -> None:
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise UplinkError(
            message=f"--server-ca {path} holds no certificate in PEM form: write the certificate "
            "of the authority that signed the server's into it",
            is_refused=True,
        ) from None


def _load_pair(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        context.load_cert_chain(settings.cert or "", settings.key, password="")
    except (OSError, ValueError):
        raise UplinkError(
            message=f"--tls-cert {settings.cert} and --tls-key {settings.key} are no pair: give a "
            "certificate in PEM form and its own key, without a passphrase",
            is_refused=True,
        ) from None
