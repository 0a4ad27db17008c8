"""Runs commands against an HTTP application in the same process."""

import json
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from billing_server.cli import client as client_module
from billing_server.cli.app import app
from tests.billing_server.world import Api


class Commands:
    """The command line, talking to a server that listens on nothing."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """Puts the application where the commands look for a server."""
        self.api = api

        class Client:
            base_url = "http://test"

            def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
                return api.call(method, path, **arguments)

        monkeypatch.setenv("BILLING_SERVER_API_KEY", "from the environment")
        monkeypatch.setattr(client_module.httpx, "Client", lambda **_: Client())

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """Runs a command and returns what it came to."""
        return CliRunner().invoke(app, list(words), input=stdin)

    def output(self, *words: str, stdin: str | None = None) -> str:
        """Runs a command that succeeds; returns what it printed."""
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        """Runs a command with `--json`."""
        return json.loads(self.output(*words, "--json"))
