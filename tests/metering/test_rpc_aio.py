"""Tests of the error interceptor on a real asyncio server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from metering.errors import NotFoundError
from metering.rpc import AioErrorInterceptor, error_from_rpc


class HandlerError(Exception):
    """Stands for a bug; its text is a secret."""


async def call_aio(method: grpc.RpcMethodHandler, *, is_stream: bool = False) -> Any:
    """Serves the method on an asyncio server with the interceptor and calls it once."""
    server = grpc.aio.server(interceptors=[AioErrorInterceptor(new_correlation_id=lambda: "c-2")])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Service", {"Call": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            if is_stream:
                stream = channel.unary_stream("/test.Service/Call")(b"ping", timeout=10)
                return [response async for response in stream]
            return await channel.unary_unary("/test.Service/Call")(b"ping", timeout=10)
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotFoundError(reason="GONE", message="gone"), "NOT_FOUND", "GONE"),
        (HandlerError("hunter2"), "INTERNAL", "INTERNAL"),
    ],
)
def test_an_asyncio_handler_that_raises_is_answered_with_the_errors_status(
    error: Exception, code: str, reason: str
) -> None:
    async def handle(_request: bytes, _context: Any) -> bytes:
        raise error

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(call_aio(grpc.unary_unary_rpc_method_handler(handle)))
    assert caught.value.code().name == code
    received = error_from_rpc(caught.value)
    assert received.reason == reason
    assert "hunter2" not in received.message


def test_an_asyncio_handler_that_answers_or_aborts_is_left_alone() -> None:
    async def answer(request: bytes, _context: Any) -> bytes:
        return request + b" pong"

    async def abort(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.DATA_LOSS, "mine")
        return b""

    assert asyncio.run(call_aio(grpc.unary_unary_rpc_method_handler(answer))) == b"ping pong"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(call_aio(grpc.unary_unary_rpc_method_handler(abort)))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.DATA_LOSS, "mine")


def test_an_asyncio_server_guards_plain_functions_too() -> None:
    def handle(_request: bytes, _context: Any) -> bytes:
        raise NotFoundError(reason="GONE", message="gone")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(call_aio(grpc.unary_unary_rpc_method_handler(handle)))
    assert error_from_rpc(caught.value).reason == "GONE"


def test_an_asyncio_stream_yields_and_then_ends_with_the_errors_status() -> None:
    async def count(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield request
        if request == b"ping":
            raise NotFoundError(reason="GONE", message="gone")

    async def write(request: bytes, context: Any) -> None:
        await context.write(request)
        raise NotFoundError(reason="GONE", message="gone")

    for handler in (count, write):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            asyncio.run(call_aio(grpc.unary_stream_rpc_method_handler(handler), is_stream=True))
        assert error_from_rpc(caught.value).reason == "GONE"
