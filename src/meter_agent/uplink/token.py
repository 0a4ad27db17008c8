"""The agent's bearer token: from a file that may change while the agent runs, or given."""

import stat
from pathlib import Path
from typing import Final

import structlog

from metering.errors import ValidationError

TOKEN_BYTES_MAX: Final = 4_096

_LOG = structlog.get_logger("meter_agent.uplink")


class TokenSource:
    """Where the token comes from. The token itself is never logged or shown.

    Args:
        token_file: Path of a file that holds the token and nothing else; mode 0600 is best.
        token: The token itself, used where no file is given.
    """

    def __init__(self, *, token_file: Path | None, token: str | None) -> None:
        self._token_file = token_file
        self._token = (token or "").strip()
        self._is_mode_reported = False

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
        """Returns something that changes when the file does; cheap enough for every second."""
        if self._token_file is None:
            return ()
        try:
            found = self._token_file.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def missing_message(self) -> str:
        """Returns what to tell an operator where there is no token."""
        if self._token_file is None:
            return (
                "no agent token: make one with `billing-server agent enroll NAME` and give it with "
                "--token-file or METER_AGENT_TOKEN; until then the agent buffers"
            )
        return (
            f"the token file {self._token_file} is missing, empty or not readable: write the token "
            "of `billing-server agent enroll NAME` into it; until then the agent buffers"
        )

    def _checked(self, token: str) -> str:
        """Returns a token that can travel: one word of printable ASCII."""
        if token.isascii() and token.isprintable() and " " not in token:
            return token
        place = "METER_AGENT_TOKEN" if self._token_file is None else f"file {self._token_file}"
        raise ValidationError(
            reason="TOKEN_MALFORMED",
            message=f"the token {place} holds more than a token (several lines or words, control "
            "characters or letters that are not ASCII): write the one line that `billing-server "
            "agent enroll NAME` has printed, and nothing else; until then the agent buffers",
        )

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
