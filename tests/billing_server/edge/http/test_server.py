"""The HTTP server runs in a thread on a socket of ours."""

import socket

import httpx
import pytest
from fastapi import FastAPI

from billing_server.edge.http.server import HttpServer
from metering.errors import UnavailableError


def test_it_answers_from_start_to_stop() -> None:
    app = FastAPI()

    @app.get("/ping")
    def ping() -> str:
        return "pong"

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = HttpServer(app, listening=listening, stop_seconds_max=5)
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/ping"
        assert httpx.get(url).json() == "pong"
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, timeout=1)


def test_a_server_that_cannot_start_says_so() -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    closed.close()
    server = HttpServer(FastAPI(), listening=closed, stop_seconds_max=1)
    with pytest.raises(UnavailableError) as refused:
        server.start()
    assert refused.value.reason == "HTTP_NOT_STARTED"
