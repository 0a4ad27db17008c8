"""Addresses that the agent listens on: parsed, checked, and made ready to bind."""

import grp
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metering.errors import InvalidStateError, PermissionDeniedError, ValidationError

LOOPBACK_ADDRESS: Final = "127.0.0.1:4270"
RUNTIME_DIRECTORY: Final = Path("/run/meter-agent")
SOCKET_NAME: Final = "agent.sock"
SOCKET_DIRECTORY_MODE: Final = 0o750
SOCKET_MODE: Final = 0o660
SOCKET_PATH_BYTES_MAX: Final = 107
"""The kernel's bound of a socket's path."""
PORT_MAX: Final = 65_535
_PROBE_SECONDS: Final = 1.0
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """One address to listen on, or to call."""

    host: str = ""
    """Host or IP of a TCP address; empty for a socket."""
    port: int = 0
    """TCP port, 0 to 65,535; 0 lets the system choose."""
    socket_path: Path | None = None
    """Path of a Unix socket; None for TCP."""

    @property
    def target(self) -> str:
        """The address as gRPC takes it."""
        if self.socket_path is not None:
            return f"{_UNIX}{self.socket_path}"
        return f"{self.host}:{self.port}"


def parse_address(text: str, *, flag: str = "--listen") -> Address:
    """Reads "unix:/path" or "HOST:PORT".

    Args:
        text: As typed.
        flag: Named in the message.

    Raises:
        ValidationError: ADDRESS_MALFORMED.
    """
    text = text.strip()
    if text.startswith(_UNIX):
        name = text.removeprefix(_UNIX).removeprefix("//")
        path = Path(name).absolute()
        if name and len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
            return Address(socket_path=path)
        raise ValidationError(
            reason="ADDRESS_MALFORMED",
            message=f"{flag} {text}: a socket's path must name a file and have at most "
            f"{SOCKET_PATH_BYTES_MAX} bytes; give a shorter one, e.g. unix:/run/agent.sock",
        )
    host, _, port = text.rpartition(":")
    if "/" in text:
        raise ValidationError(
            reason="ADDRESS_MALFORMED",
            message=f"{flag} {text!r} is a URL or a path; write HOST:PORT without http:// or "
            f"https://, e.g. {LOOPBACK_ADDRESS}, or unix:/path",
        )
    if host and port.isascii() and port.isdigit() and int(port) <= PORT_MAX:
        return Address(host=host, port=int(port))
    raise ValidationError(
        reason="ADDRESS_MALFORMED",
        message=f"{flag} {text!r} is no address; write unix:/path or HOST:PORT with a port of at "
        f"most {PORT_MAX}, e.g. {LOOPBACK_ADDRESS}",
    )


def default_addresses(*, data_dir: Path, instance: str) -> tuple[str, ...]:
    """Returns where to listen when nothing is said: a socket, and loopback for the one agent.

    A named instance has no loopback port: the default one belongs to the agent without a name.
    """
    runtime = RUNTIME_DIRECTORY / instance if instance else RUNTIME_DIRECTORY
    directory = runtime if is_directory_usable(runtime) else data_dir.absolute()
    socket_address = f"{_UNIX}{directory / SOCKET_NAME}"
    return (socket_address,) if instance else (socket_address, LOOPBACK_ADDRESS)


def is_directory_usable(path: Path) -> bool:
    """Tells whether files can be made in the directory, or the directory itself can be made."""
    for part in (path, *path.parents):
        if part.exists():
            return part.is_dir() and os.access(part, os.W_OK | os.X_OK)
    return False


def prepare_socket(path: Path) -> None:
    """Makes the directory of a socket and removes what a killed agent left there.

    Raises:
        InvalidStateError: ADDRESS_IN_USE where a process listens on it.
        PermissionDeniedError: ADDRESS_NOT_WRITABLE.
    """
    try:
        path.parent.mkdir(mode=SOCKET_DIRECTORY_MODE, parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        if not path.exists():
            return
        if not path.is_socket():
            raise _in_use(path, "is a file and no socket")
        if _is_listening(path):
            raise _in_use(path, "is in use by another process")
        path.unlink()
    except OSError as error:
        raise PermissionDeniedError(
            reason="ADDRESS_NOT_WRITABLE",
            message=f"--listen unix:{path} cannot be made ({error.strerror}); give a directory "
            "that the agent's user may write, or run it as a user that may",
        ) from error


def open_socket(path: Path, *, group: str) -> None:
    """Gives a bound socket its mode, and its group where one is named.

    Raises:
        ValidationError: SOCKET_GROUP_UNKNOWN.
        PermissionDeniedError: SOCKET_GROUP_REFUSED.
    """
    path.chmod(SOCKET_MODE)
    if not group:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        raise ValidationError(
            reason="SOCKET_GROUP_UNKNOWN",
            message=f"--socket-group {group}: there is no such group; make it with groupadd",
        ) from None
    except OSError as error:
        raise PermissionDeniedError(
            reason="SOCKET_GROUP_REFUSED",
            message=f"--socket-group {group}: the agent may not give its socket to this group "
            f"({error.strerror}); add its user to the group, or run it as root",
        ) from error


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # Not proven dead, e.g. a full backlog: it is not taken away.
        return True


def _in_use(path: Path, what: str) -> InvalidStateError:
    return InvalidStateError(
        reason="ADDRESS_IN_USE",
        message=f"--listen unix:{path}: the path {what}; stop that process, or give this agent "
        "another address with --listen",
    )
