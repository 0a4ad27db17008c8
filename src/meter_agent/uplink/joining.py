"""An agent without a token makes its own, and has a fleet's join token let it in.

The secret is made here and lies on the disk before the server is told its hash, so a kill at any
point is followed by the same call again, which finds the same agent: none is made twice, none lost.
"""

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from meter_agent.store.data_dir import FILE_MODE, sync_directory
from meter_agent.uplink.client import IngestClient, UplinkError
from metering.api.v1 import ingest_pb2
from metering.errors import UnavailableError, ValidationError

TOKEN_PREFIX: Final = "mat_"  # noqa: S105 - how tokens begin, not one
JOIN_TOKEN_PREFIX: Final = "mjt_"  # noqa: S105 - how tokens begin, not one
SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"mat_[A-Za-z0-9_-]{43}")
_JOIN_TOKEN_BYTES_MAX: Final = 4_096

_LOG = structlog.get_logger("meter_agent.uplink")


class Joining:
    """Gets the agent its own token, once. Used by one thread. No token is ever logged or shown.

    Args:
        token_file: Where its own token goes, in the data directory.
        join_token_file: Holds the join token; read anew at each try, never needed afterwards.
        host_name: The agent's name is made of it.
    """

    def __init__(self, *, token_file: Path, join_token_file: Path, host_name: str) -> None:
        self._token_file: Final = token_file
        self._join_token_file: Final = join_token_file
        self._host_name: Final = host_name
        self._is_mode_reported = False

    def fingerprint(self) -> tuple[int, ...]:
        """Returns something that changes when the join token's file does."""
        try:
            found = self._join_token_file.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def join(self, open_client: Callable[[str], IngestClient]) -> str:
        """Returns the agent's own token, durable and known to the server.

        Args:
            open_client: Opens the channel to the server, given the token that its calls carry.

        Raises:
            UplinkError: There is no join token, or the server did not take it.
            ValidationError: JOIN_TOKEN_MALFORMED.
            UnavailableError: TOKEN_NOT_WRITABLE, the data directory does not take it.
        """
        self._refuse_unreadable()
        join_token = self._join_token()
        secret = self._secret()
        request = ingest_pb2.JoinFleetRequest(
            token_sha256=hashlib.sha256(secret.encode()).digest(), host_name=self._host_name
        )
        joined = open_client(join_token).join_fleet(request)
        try:
            self._pending_file.rename(self._token_file)
            sync_directory(self._token_file.parent)
        except OSError as error:
            raise self._not_writable(error) from error
        _LOG.info("fleet_joined", agent_id=joined.agent_id, name=joined.name)
        return secret

    def _refuse_unreadable(self) -> None:
        # Who has joined never joins again by itself: it would be another agent.
        if os.path.lexists(self._token_file):
            raise UplinkError(
                message=f"the agent's own token file {self._token_file} is empty or not readable: "
                "let the agent's user read it, or write the token of `billing-server agent rotate "
                "NAME` into it; where it is removed, the agent joins anew as another agent. Until "
                "then the agent buffers",
                is_refused=True,
            )

    @property
    def _pending_file(self) -> Path:
        """Holds the secret until the server knows it."""
        return self._token_file.with_name(self._token_file.name + ".joining")

    def _join_token(self) -> str:
        token = read_join_token(self._join_token_file)
        if not token:
            raise UplinkError(
                message=f"--join-token-file {self._join_token_file} is missing, empty or not "
                "readable: write the join token of `billing-server agent enroll NAME --fleet` "
                "into it, or give the agent a token of its own with --token-file; until then the "
                "agent buffers",
                is_refused=True,
            )
        if not self._is_mode_reported and is_open_to_all(self._join_token_file):
            self._is_mode_reported = True
            _LOG.warning("join_token_file_open_to_others", path=str(self._join_token_file))
        return token

    def _secret(self) -> str:
        """Returns the secret of an earlier try, or a new one, once it is durable."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = self._pending_file.read_text(encoding="ascii").strip()
            if _TOKEN.fullmatch(found):
                return found
        secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        try:
            _write_durably(self._pending_file, text=secret + "\n")
        except OSError as error:
            raise self._not_writable(error) from error
        return secret

    def _not_writable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            reason="TOKEN_NOT_WRITABLE",
            message=f"the agent's own token cannot be written to {self._token_file} "
            f"({error.strerror}): free some space, or let the agent's user own "
            f"{self._token_file.parent}; until then the agent buffers",
        )


def read_join_token(path: Path) -> str:
    """Returns the join token in a file, empty where there is none or it cannot be read.

    Raises:
        ValidationError: JOIN_TOKEN_MALFORMED, naming the file and never what is in it.
    """
    try:
        with path.open("rb") as file:
            token = file.read(_JOIN_TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError:
        return ""
    if not token or re.fullmatch(r"mjt_[A-Za-z0-9_-]+", token):
        return token
    what = "an agent's own token" if token.startswith(TOKEN_PREFIX) else "no join token"
    raise ValidationError(
        reason="JOIN_TOKEN_MALFORMED",
        message=f"--join-token-file {path} holds {what}: write the one line that `billing-server "
        "agent enroll NAME --fleet` has printed, and nothing else; an agent's own token is given "
        "with --token-file",
    )


def is_open_to_all(path: Path) -> bool:
    """Tells whether every user of the host may read a file.

    A group may: that is how Kubernetes gives a secret to a container that is not root.
    """
    try:
        return bool(path.stat().st_mode & stat.S_IRWXO)
    except OSError:
        return False


def _write_durably(path: Path, *, text: str) -> None:
    """Writes a file that is there whole or not at all, also after a power loss."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(
        unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=FILE_MODE
    )
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
    sync_directory(path.parent)
