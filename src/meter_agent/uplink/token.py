"""The agent's bearer token: from a file that may change while the agent runs, or given."""

import stat
from pathlib import Path
from typing import Final

import structlog

from meter_agent.uplink.joining import JOIN_TOKEN_PREFIX, Joining
from metering.errors import ValidationError

TOKEN_BYTES_MAX: Final = 4_096

_LOG = structlog.get_logger("meter_agent.uplink")


class TokenSource:
    """Where the token comes from. The token itself is never logged or shown.

    Args:
        token_file: Path of a file that holds the token and nothing else; mode 0600 is best.
        token: The token itself, used where no file is given.
        own_file: Where the agent keeps the token that it got by joining a fleet; read where
            neither of the others is given.
        joining: How it joins while it has no token; None: it does not.
    """

    def __init__(
        self,
        *,
        token_file: Path | None,
        token: str | None,
        own_file: Path | None = None,
        joining: Joining | None = None,
    ) -> None:
        self._token = (token or "").strip()
        self._is_given = token_file is not None or bool(self._token)
        self._token_file = token_file if self._is_given else own_file
        self._joining = None if self._is_given else joining
        self._is_mode_reported = False

    @property
    def joining(self) -> Joining | None:
        """How the agent joins a fleet where it has no token; None: it does not."""
        return self._joining

    def __repr__(self) -> str:
        return f"TokenSource(token_file={self._token_file})"

    def read(self) -> str:
        """Returns the token as it is now, empty where there is none.

        Raises:
            ValidationError: TOKEN_MALFORMED, naming the file and never what is in it.
        """
        if self._token_file is None:
            return self._checked(self._token)
        try:
            with self._token_file.open("rb") as file:
                self._report_open_mode()
                token = file.read(TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
        except OSError:
            return ""
        return self._checked(token)

    def fingerprint(self) -> tuple[int, ...]:
        """Returns something that changes when a file does; cheap enough for every second."""
        joining = () if self._joining is None else self._joining.fingerprint()
        if self._token_file is None:
            return joining
        try:
            found = self._token_file.stat()
        except OSError:
            return joining
        return (found.st_mtime_ns, found.st_size, found.st_ino, *joining)

    def missing_message(self) -> str:
        """Returns what to tell an operator where there is no token."""
        if not self._is_given or self._token_file is None:
            return (
                "no agent token: make one with `billing-server agent enroll NAME` and give it with "
                "--token-file or METER_AGENT_TOKEN, or give a fleet's join token with "
                "--join-token-file; until then the agent buffers"
            )
        return (
            f"the token file {self._token_file} is missing, empty or not readable: write the token "
            "of `billing-server agent enroll NAME` into it; until then the agent buffers"
        )

    def _checked(self, token: str) -> str:
        """Returns a token that can travel: one word of printable ASCII."""
        if token.startswith(JOIN_TOKEN_PREFIX):
            raise ValidationError(
                reason="TOKEN_MALFORMED",
                message=f"the token {self._place()} is a fleet's join token: give it with "
                "--join-token-file instead, and the agent gets a token of its own; until then the "
                "agent buffers",
            )
        if token.isascii() and token.isprintable() and " " not in token:
            return token
        raise ValidationError(
            reason="TOKEN_MALFORMED",
            message=f"the token {self._place()} holds more than a token (several lines or words, "
            "control characters or letters that are not ASCII): write the one line that "
            "`billing-server agent enroll NAME` has printed, and nothing else; until then the "
            "agent buffers",
        )

    def _place(self) -> str:
        return "METER_AGENT_TOKEN" if self._token_file is None else f"file {self._token_file}"

    def _report_open_mode(self) -> None:
        if self._is_mode_reported or self._token_file is None:
            return
        self._is_mode_reported = True
        if self._token_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _LOG.warning(
                "token_file_open_to_others",
                path=str(self._token_file),
                remedy=f"chmod 600 {self._token_file}",
            )
