"""The HTTP API as the commands call it: where it is, which key, and errors as errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer

from billing_server.config import ADMIN_KEY_FILE_NAME, HTTP_LISTEN_DEFAULT, default_data_dir
from metering.errors import (
    AuthenticationError,
    FieldViolation,
    MeteringError,
    UnavailableError,
    ValidationError,
)

URL_DEFAULT = f"http://{HTTP_LISTEN_DEFAULT}"
REQUEST_SECONDS_MAX = 600.0
"""Advancing a test clock may issue thousands of invoices before it answers."""
PAGE_LIMIT = 200

UrlOption = Annotated[
    str, typer.Option("--url", envvar="BILLING_SERVER_URL", help="Address of the HTTP API.")
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="BILLING_SERVER_API_KEY",
        help="API key; left out: the one in the local server's data directory.",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="BILLING_SERVER_DATA_DIR",
        help="Data directory of the local server, where its key lies.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class ApiError(MeteringError):
    """An error that the server answered."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Calls the HTTP API with an API key."""

    http: httpx.Client
    """Where the calls go."""

    def get(
        self, path: str, *, query: Mapping[str, str | int | list[str] | None] | None = None
    ) -> Any:
        """Return the JSON of a resource; entries of `query` that are None are left out."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return self._call("GET", path, params=given)

    def post(self, path: str, *, body: Mapping[str, object]) -> Any:
        """Send a body and return the JSON of the answer."""
        return self._call("POST", path, json=dict(body))

    def put(self, path: str, *, body: Mapping[str, object]) -> Any:
        """Make a resource equal to a body and return the JSON of the answer."""
        return self._call("PUT", path, json=dict(body))

    def delete(self, path: str) -> Any:
        """Remove a resource and return the JSON of the answer."""
        return self._call("DELETE", path)

    def entries(
        self,
        path: str,
        *,
        limit: int,
        query: Mapping[str, str | int | list[str] | None] | None = None,
    ) -> Iterator[Any]:
        """Walk a list over its pages, up to `limit` entries."""
        cursor: str | None = None
        left = limit
        while left > 0:
            size = min(left, PAGE_LIMIT)
            page = self.get(path, query={**(query or {}), "cursor": cursor, "limit": size})
            yield from page["data"]
            left -= len(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self.http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise UnavailableError(
                reason="SERVER_UNREACHABLE",
                message=f"no server answers at {self.http.base_url} ({error}): {_remedy(error)}",
            ) from error
        if response.is_success:
            return response.json()
        raise _error_from_response(response)


def path_of(*parts: str) -> str:
    """Return a path below `/v1`; ids may hold any character."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def open_client(*, url: str, api_key: str | None, data_dir: Path | None) -> ApiClient:
    """Return a client with the key that was given, or the local server's own."""
    _check_url(url)
    key = api_key or _local_key(data_dir or default_data_dir())
    headers = {"Authorization": f"Bearer {key}"}
    return ApiClient(httpx.Client(base_url=url, headers=headers, timeout=REQUEST_SECONDS_MAX))


def _check_url(url: str) -> None:
    """Refuse an address without http://: it would look like a server that is away."""
    if not url.startswith(("http://", "https://")):
        raise ValidationError(
            reason="URL_MALFORMED",
            message=f"--url: {url!r} is no URL; write http://HOST:PORT, such as {URL_DEFAULT} "
            "(--url or BILLING_SERVER_URL)",
        )


def _remedy(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.RemoteProtocolError):
        return (
            "what listens there speaks no HTTP; name the address that the server was given as "
            "--http-listen, not that of its gRPC port"
        )
    if "SSL" in str(error):
        return (
            "the server speaks no TLS itself: write http://, or name the proxy before it with "
            "--url or BILLING_SERVER_URL"
        )
    return (
        "start one with 'billing-server serve', or name its address with --url or "
        "BILLING_SERVER_URL"
    )


def _local_key(data_dir: Path) -> str:
    path = data_dir / ADMIN_KEY_FILE_NAME
    try:
        return path.read_text().strip()
    except OSError as error:
        raise AuthenticationError(
            reason="API_KEY_MISSING",
            message=f"no API key: {path} cannot be read ({error.strerror}). Name the server's data "
            "directory with --data-dir or BILLING_SERVER_DATA_DIR, or give a key with --api-key "
            "or BILLING_SERVER_API_KEY",
        ) from error


def _error_from_response(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
        return ApiError(
            reason=problem["reason"],
            message=problem["detail"],
            violations=[
                FieldViolation(
                    field=each["field"],
                    description=each["description"],
                    reason=each.get("reason", ""),
                )
                for each in problem.get("violations", ())
            ],
        )
    except (ValueError, KeyError, TypeError):
        return ApiError(
            reason="ANSWER_UNKNOWN",
            message=f"{response.url} answered {response.status_code} without a reason: "
            "is a billing server listening there?",
        )
