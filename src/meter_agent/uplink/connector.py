"""Holds the one channel to the server: which address, which token, which certificates."""

import threading
from collections.abc import Sequence
from typing import Final

import structlog

from meter_agent.uplink.client import CALL_SECONDS, IngestClient, UplinkError
from meter_agent.uplink.tls import Fingerprint, TlsMaterial, TlsSource
from meter_agent.uplink.tls_probe import explain
from meter_agent.uplink.token import TokenSource

_LOG = structlog.get_logger("meter_agent.uplink")


def split_servers(text: str) -> tuple[str, ...]:
    """Returns the addresses of a comma separated list, in order, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


class Connector:
    """Gives the channel, a new one after a failure or when the token or a certificate changed.

    With several addresses it stays with one as long as that answers, and goes to the next when it
    does not: the servers share one database, so any of them will do.

    Args:
        servers: HOST:PORT or unix:/path, at least one, in order of preference.
        tokens: The agent's token.
        tls: Its certificates.
        call_seconds: Deadline of one call, seconds, > 0.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        tokens: TokenSource,
        tls: TlsSource,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._servers: Final = tuple(servers)
        self._tokens = tokens
        self._tls = tls
        self._call_seconds = call_seconds
        self._index = 0
        self._lock = threading.Lock()
        self._client: IngestClient | None = None
        self._material: TlsMaterial | None = None
        self._opened_with: Fingerprint = ()
        self._is_closed = False

    @property
    def server(self) -> str:
        """The address in use."""
        return self._servers[self._index]

    def fingerprint(self) -> tuple[tuple[int, ...], ...]:
        """Returns something that changes when the token or a certificate does."""
        return (self._tokens.fingerprint(), *self._tls.fingerprint())

    def client(self) -> IngestClient:
        """Returns the channel; an agent that has no token joins its fleet first.

        Raises:
            UplinkError: There is no token, a certificate cannot be used, or the agent stops.
            MeteringError: A token is malformed, or the agent's own cannot be written.
        """
        token = self._tokens.read()
        if not token and self._tokens.joining is not None:
            token = self._tokens.joining.join(self._open)
        if not token:
            raise UplinkError(message=self._tokens.missing_message(), is_refused=True)
        return self._open(token)

    def _open(self, token: str) -> IngestClient:
        """Returns the channel whose calls carry this token."""
        files = self._tls.fingerprint()
        with self._lock:
            if self._is_closed:
                # A channel opened behind a stop would hold it up for the length of a call.
                raise UplinkError(message="the agent is stopping")
            client = self._client
            if client is not None and client.token == token and self._opened_with == files:
                return client
            if client is not None:
                client.close()
                self._client = None
                _LOG.info("channel_reopened", server=self.server)
            self._opened_with = files
            is_tls = self._tls.settings.is_spoken_to(self.server)
            self._material = self._tls.material() if is_tls else None
            credentials = None if self._material is None else self._material.channel_credentials()
            self._client = IngestClient(
                self.server, token=token, credentials=credentials, call_seconds=self._call_seconds
            )
            return self._client

    def failed(self, error: BaseException | None) -> str:
        """Gives up the channel after a failed try; the next one goes to the next address.

        Returns:
            What is wrong and what to do; where TLS is the reason, it says how.
        """
        with self._lock:
            client, self._client = self._client, None
            server, material = self.server, self._material
            if isinstance(error, UplinkError):
                self._index = (self._index + 1) % len(self._servers)
        if client is None:
            return str(error)
        client.close()
        is_explicable = isinstance(error, UplinkError) and error.is_unreachable
        # A channel that has worked speaks the right TLS; its server went away.
        if not is_explicable or client.has_answered:
            return str(error)
        return explain(server, material=material) or str(error)

    def close(self) -> None:
        """Closes the channel for good; a call in flight ends at once with an error."""
        with self._lock:
            self._is_closed = True
            if self._client is not None:
                self._client.close()
            self._client = None
