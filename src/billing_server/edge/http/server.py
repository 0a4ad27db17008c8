"""The HTTP server: uvicorn in a thread of its own, on a socket that is bound already."""

import socket
import threading

import structlog
import uvicorn
from fastapi import FastAPI

from metering.errors import UnavailableError

START_SECONDS_MAX = 30.0
POLL_SECONDS = 0.01

log = structlog.get_logger(__name__)


class HttpServer:
    """Serves an application until it is told to stop.

    Args:
        app: what answers.
        listening: a socket that listens.
        stop_seconds_max: how long a stop waits for calls in hand.
    """

    def __init__(self, app: FastAPI, *, listening: socket.socket, stop_seconds_max: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=int(stop_seconds_max),
        )
        self._server = uvicorn.Server(config)
        self._stop_seconds_max = stop_seconds_max
        self._listening = listening
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        except Exception:
            log.exception("http_server_failed")

    def start(self) -> None:
        """Start, and return once calls are answered.

        Raises:
            UnavailableError: HTTP_NOT_STARTED.
        """
        self._thread.start()
        waiting = threading.Event()
        for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waiting.wait(POLL_SECONDS)
        raise UnavailableError(
            reason="HTTP_NOT_STARTED", message="the HTTP server did not start; see the log"
        )

    def stop(self) -> None:
        """Take no more calls, answer those in hand, and stop."""
        self._server.should_exit = True
        self._thread.join(self._stop_seconds_max + 1)
