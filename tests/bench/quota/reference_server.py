"""A counter in SQLite behind gRPC: what the two common designs enforce their limit with.

It is as durable as the product's server: WAL, `synchronous=FULL`, one writer, one commit a call.
Started as a process of its own: `python -m tests.bench.quota.reference_server FILE LIMIT`.
"""

import sqlite3
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Final

import grpc

SERVICE: Final = "reference.Counter"
THREADS: Final = 32
_NUMBER_BYTES: Final = 8


def encode(*numbers: int) -> bytes:
    """Writes integers of 64 bits."""
    return b"".join(number.to_bytes(_NUMBER_BYTES, "big", signed=True) for number in numbers)


def decode(data: bytes) -> tuple[int, ...]:
    """Reads integers of 64 bits."""
    return tuple(
        int.from_bytes(data[start : start + _NUMBER_BYTES], "big", signed=True)
        for start in range(0, len(data), _NUMBER_BYTES)
    )


class Counter:
    """One total, changed in transactions; a change has an id, so that a retry counts once."""

    def __init__(self, path: Path, *, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS total (id INTEGER PRIMARY KEY, value INTEGER)")
        self._db.execute("CREATE TABLE IF NOT EXISTS change (id INTEGER PRIMARY KEY, ok INTEGER)")
        self._db.execute("INSERT OR IGNORE INTO total VALUES (1, 0)")

    def read(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Returns the total."""
        with self._lock:
            return encode(self._total())

    def add(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Adds an amount, whatever the limit says; returns the total."""
        change_id, amount = decode(request)
        with self._lock:
            self._change(change_id, amount=amount, is_checked=0)
            return encode(self._total())

    def reserve(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Adds an amount where the limit allows it; returns 1 or 0."""
        change_id, amount = decode(request)
        with self._lock:
            return encode(self._change(change_id, amount=amount, is_checked=1))

    def _total(self) -> int:
        row = self._db.execute("SELECT value FROM total WHERE id = 1").fetchone()
        return int(row[0])

    def _change(self, change_id: int, *, amount: int, is_checked: int) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        known = self._db.execute("SELECT ok FROM change WHERE id = ?", (change_id,)).fetchone()
        if known is None:
            is_ok = int(not is_checked or self._total() + amount <= self._limit)
            self._db.execute("INSERT INTO change VALUES (?, ?)", (change_id, is_ok))
            self._db.execute("UPDATE total SET value = value + ?", (amount * is_ok,))
        else:
            is_ok = int(known[0])
        self._db.execute("COMMIT")
        return is_ok


def main() -> None:
    """Serves until it is ended; says its port first."""
    path, limit = sys.argv[1:]
    counter = Counter(Path(path), limit=int(limit))
    methods = {
        name: grpc.unary_unary_rpc_method_handler(method)
        for name, method in (
            ("Read", counter.read),
            ("Add", counter.add),
            ("Reserve", counter.reserve),
        )
    }
    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
