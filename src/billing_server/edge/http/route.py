"""What happens around every call under `/v1`: bounds, the API key, idempotency keys."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from billing_server.services.api_keys import authenticate_api_key
from billing_server.services.context import ServiceContext
from billing_server.services.idempotency import (
    begin_request,
    complete_request,
    release_request,
    scoped_key,
)
from metering.errors import ValidationError

BODY_BYTES_MAX = 8 * 1024 * 1024
"""Longest body that is read; a catalog of thousands of customers fits."""
SUCCESS_CODES = range(200, 300)
ID_DIGITS = 32

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def service_context(request: Request) -> ServiceContext:
    """Return what the use cases need; set by `create_app`."""
    context: ServiceContext = request.app.state.context
    return context


Context = Annotated[ServiceContext, Depends(service_context)]
"""Parameter of a handler that calls a use case."""


def caller_name(request: Request) -> str:
    """Return the name of the API key that the call was made with."""
    name: str = request.state.caller_name
    return name


Caller = Annotated[str, Depends(caller_name)]
"""Parameter of a handler that notes who did it."""


def repeat_id(request: Request) -> str | None:
    """Return what a repeat of the call under its idempotency key has too; None without a key."""
    return getattr(request.state, "repeat_id", None)


RepeatId = Annotated[str | None, Depends(repeat_id)]
"""Parameter of a handler whose work must not be done twice: a server that dies between doing it and
keeping its answer does not know that it was done."""


class ApiRoute(APIRoute):
    """A route that asks for the API key and honours `Idempotency-Key` on POST."""

    def get_route_handler(self) -> Handler:
        """Return the handler, with authentication, bounds and idempotency around it."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            context = service_context(request)
            _refuse_nul(request)
            caller = await run_in_threadpool(
                authenticate_api_key, context, key=_bearer_key(request)
            )
            request.state.caller_name = caller.name
            body = await _bounded_body(request)
            if request.method != "POST":
                return await handler(request)
            key = request.headers.get("Idempotency-Key")
            if key is None:
                return await handler(request)
            scoped = scoped_key(key, owner=caller.name)
            return await _once(request, handler=handler, key=scoped, body=body)

        return handle


def _refuse_nul(request: Request) -> None:
    # No text of ours holds it, and PostgreSQL cannot store it.
    if "\0" in request.url.path or "%00" in str(request.url):
        raise ValidationError(
            reason="REQUEST_INVALID", message="the address holds a NUL character: remove it"
        )


def _bearer_key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def _bounded_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise ValidationError(
                reason="REQUEST_TOO_LARGE",
                message=f"the body is longer than {BODY_BYTES_MAX} bytes: send less at a time",
            )
        chunks.append(chunk)
    body = b"".join(chunks)
    # Starlette keeps a body that was read here; the handler then does not read the stream again.
    request._body = body
    return body


async def _once(request: Request, *, handler: Handler, key: str, body: bytes) -> Response:
    context = service_context(request)
    target = f"{request.method} {request.url.path}?{request.url.query}"
    digest = hashlib.sha256(target.encode() + b"\0" + body).hexdigest()
    known = await run_in_threadpool(begin_request, context, key=key, request_sha256=digest)
    if known is not None:
        return Response(
            known.response_body,
            status_code=known.response_code,
            media_type="application/json",
            headers={"Idempotent-Replayed": "true"},
        )
    request.state.repeat_id = hashlib.sha256(f"{key} {digest}".encode()).hexdigest()[:ID_DIGITS]
    try:
        response = await handler(request)
    except BaseException:
        await run_in_threadpool(release_request, context, key=key)
        raise
    if response.status_code in SUCCESS_CODES:
        await run_in_threadpool(
            complete_request,
            context,
            key=key,
            request_sha256=digest,
            response_code=response.status_code,
            body=bytes(response.body).decode(),
        )
    else:
        await run_in_threadpool(release_request, context, key=key)
    return response
