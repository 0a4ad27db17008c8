"""What a design that enforces a limit offers to the callers of the experiment."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from tests.bench.quota.calls import Call
from tests.support.fault_proxy import Fault


class Host(Protocol):
    """One host: what its services ask before an expensive call."""

    def run(self, call: Call, *, work: "Work") -> str | None:
        """Asks for a call, lets it happen where it is granted, settles it.

        Returns:
            None; where it was refused, why.
        """

    def cut(self, fault: Fault) -> None:
        """Breaks the way to the server."""

    def heal(self) -> None:
        """Mends it."""

    def kill(self) -> None:
        """Kills what runs on the host with SIGKILL and starts it again."""


class Work(Protocol):
    """The expensive call itself, as the books see it."""

    def __call__(self, granted: int) -> int:
        """Happens: `granted` tokens are held meanwhile; returns the tokens that it used."""


class Design(Protocol):
    """A way to enforce the limit."""

    name: str
    """For the table."""
    hosts: list[Host]
    """All of them."""

    def running(self, limit: int) -> AbstractContextManager[None]:
        """Runs it with a fresh limit until the block ends."""

    def leased(self) -> Mapping[int, int]:
        """Returns what each host was granted of the limit and has not given back, as last known."""

    def settle_all(self) -> None:
        """Returns once nothing is on its way any more."""

    def known_use(self) -> int:
        """Returns the use that the server knows."""
