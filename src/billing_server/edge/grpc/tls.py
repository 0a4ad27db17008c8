"""Certificates of the gRPC port, taken anew from their files without a restart."""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import structlog

from metering.errors import ValidationError

_LOG = structlog.get_logger(__name__)
_Fingerprint = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates are; PEM."""

    cert: Path
    """The server's certificate and its chain."""
    key: Path
    """Its key, without a passphrase."""
    client_ca: Path | None = None
    """Authorities that sign agents' certificates; None: agents need none."""


class ServerTls:
    """Gives each handshake the certificates as they are in their files.

    Files that cannot be used are logged once, and the ones before them stay in use: a renewal that
    went wrong stops no agent.

    Args:
        files: Where they are.

    Raises:
        ValidationError: TLS_FILE_UNUSABLE, naming the setting and the remedy.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files: Final = files
        self._lock = threading.Lock()
        self._seen = self._fingerprint()
        self._configuration = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self._current,
            require_client_authentication=self._files.client_ca is not None,
        )

    def _current(self) -> grpc.ServerCertificateConfiguration:
        """Returns what the next handshake uses; gRPC calls it before each."""
        with self._lock:
            found = self._fingerprint()
            if found == self._seen:
                return self._configuration
            self._seen = found
            try:
                self._configuration = self._read()
                _LOG.info("tls_files_reloaded", cert=str(self._files.cert))
            except ValidationError as error:
                _LOG.error("tls_files_unusable", error=error.message, effect="the old ones stay")
            return self._configuration

    def _fingerprint(self) -> _Fingerprint:
        files = self._files
        return tuple(_stat_of(path) for path in (files.cert, files.key, files.client_ca))

    def _read(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        chain = _read_file(files.cert, setting="tls-cert")
        key = _read_file(files.key, setting="tls-key")
        _check_pair(files)
        authorities = None
        if files.client_ca is not None:
            authorities = _read_file(files.client_ca, setting="tls-client-ca")
            _check_authorities(authorities, path=files.client_ca)
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)


def _stat_of(path: Path | None) -> tuple[int, ...]:
    if path is None:
        return ()
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read_file(path: Path, *, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValidationError(
            reason="TLS_FILE_UNUSABLE",
            message=f"{setting}: {path} cannot be read ({error.strerror}): name a PEM file with "
            f"--{setting} that the server's user may read",
        ) from error


def _check_pair(files: TlsFiles) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.cert, files.key, password="")
    except (OSError, ValueError) as error:
        raise ValidationError(
            reason="TLS_FILE_UNUSABLE",
            message=f"tls-cert: {files.cert} and {files.key} are no pair: give a certificate in "
            "PEM form with --tls-cert and its own key, without a passphrase, with --tls-key",
        ) from error


def _check_authorities(authorities: bytes, *, path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(
            cadata=authorities.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError) as error:
        raise ValidationError(
            reason="TLS_FILE_UNUSABLE",
            message=f"tls-client-ca: {path} holds no certificate in PEM form: name the file of the "
            "authority that signs agents' certificates with --tls-client-ca",
        ) from error
