"""The token of an agent that joins a fleet: its own, or the join token that is to get it one."""

from pathlib import Path

from meter_agent.doctor.finding import Finding, error, ok, warning
from meter_agent.doctor.server import check_token
from meter_agent.uplink.joining import is_open_to_all, read_join_token
from metering.errors import ValidationError


def check_own_token(own_file: Path, *, join_token_file: Path | None) -> list[Finding]:
    """Looks at the token of an agent that was given none, without showing or trying anything.

    Args:
        own_file: Where the agent keeps the token that it got by joining.
        join_token_file: Holds the join token; None: it is not set.
    """
    if own_file.exists():
        return check_token(own_file, token=None)
    if join_token_file is None:
        return check_token(None, token=None)
    try:
        token = read_join_token(join_token_file)
    except ValidationError as malformed:
        what, _, remedy = malformed.message.partition(": ")
        return [error("token", malformed.reason, what, remedy=remedy)]
    if not token:
        return [
            error(
                "token",
                "JOIN_TOKEN_MISSING",
                f"the agent has no token of its own yet, and --join-token-file {join_token_file} "
                "is missing, empty or not readable by this user: the agent buffers",
                remedy="make a join token with `billing-server agent enroll NAME --fleet` and "
                "write it into this file",
            )
        ]
    if is_open_to_all(join_token_file):
        return [
            warning(
                "token",
                "JOIN_TOKEN_FILE_OPEN",
                f"--join-token-file {join_token_file} may be read by every user of this host",
                remedy=f"chmod o-rwx {join_token_file}; where others may have read it: "
                "`billing-server agent revoke-join-token ID`",
            )
        ]
    return [
        ok(
            "token",
            f"there is none in {own_file} yet: `serve` gets one by the join token in "
            f"{join_token_file}, which is not tried here",
        )
    ]
