"""News of leases from whichever server has written them to the syncs that wait here."""

import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import psycopg
import structlog

from billing_server.domain.ports.news import EVERY_CUSTOMER
from billing_server.store.lease_repository import NEWS_CHANNEL

LISTEN_SECONDS: Final = 1.0
"""How long the listener waits before it looks whether it is to stop."""
RECONNECT_SECONDS: Final = 1.0
STOP_SECONDS_MAX: Final = 5.0

Hearer = Callable[[str], None]
log = structlog.get_logger(__name__)


class NewsBoard:
    """Calls every hearer with the id of each customer that has news. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hearers: tuple[Hearer, ...] = ()

    def listen(self, hearer: Hearer) -> Callable[[], None]:
        """Adds a hearer, which must not block; returns what takes it away again."""
        with self._lock:
            self._hearers = (*self._hearers, hearer)

        def stop() -> None:
            with self._lock:
                self._hearers = tuple(each for each in self._hearers if each is not hearer)

        return stop

    def publish(self, customer_ids: Iterable[str]) -> None:
        """Tells that customers have news; `EVERY_CUSTOMER` that all may have."""
        hearers = self._hearers
        for customer_id in customer_ids:
            for hearer in hearers:
                hearer(customer_id)

    def close(self) -> None:
        """Ends whatever it does in the background."""


class Listening(Protocol):
    """Opens a connection of its own that may wait for notifications."""

    def __call__(self) -> psycopg.Connection:
        """Connects in autocommit mode."""


class PostgresqlNewsBoard(NewsBoard):
    """Hears what any server on the same database announces.

    What is announced by this server comes back the same way, after its commit. After a connection
    was lost everyone is told to look, since a notification may have been missed.

    Args:
        connect: opens the listening connection.
    """

    def __init__(self, connect: Listening) -> None:
        super().__init__()
        self._connect = connect
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, hearer: Hearer) -> Callable[[], None]:
        """Adds a hearer; the first one starts the listening thread and waits until it listens."""
        stop = super().listen(hearer)
        is_listening = threading.Event()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(is_listening,), name="lease-news", daemon=True
            )
            self._thread.start()
            is_listening.wait(STOP_SECONDS_MAX)
        return stop

    def close(self) -> None:
        """Stops listening."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS_MAX)

    def _run(self, is_listening: threading.Event) -> None:
        while not self._is_stopping.is_set():
            try:
                self._hear(is_listening)
            except psycopg.Error as error:
                log.warning("lease_news_interrupted", error=str(error))
                self._is_stopping.wait(RECONNECT_SECONDS)

    def _hear(self, is_listening: threading.Event) -> None:
        with self._connect() as connection:
            connection.execute(f"LISTEN {NEWS_CHANNEL}")
            if is_listening.is_set():
                super().publish([EVERY_CUSTOMER])
            is_listening.set()
            while not self._is_stopping.is_set():
                for notification in connection.notifies(timeout=LISTEN_SECONDS):
                    super().publish([notification.payload])
                    if self._is_stopping.is_set():
                        return

    def publish(self, customer_ids: Iterable[str]) -> None:
        """Leaves it to the transaction, which has notified every server, this one too."""
