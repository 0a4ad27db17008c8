"""A gRPC server whose RecordUsage does nothing: what an agent's figures stand beside.

`python -m tests.bench.empty_server threaded|asyncio ADDRESS`
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from meter_agent.edge.server import SERVICE_NAME, THREAD_COUNT_MAX
from metering.api.v1.agent_pb2 import RecordUsageResponse

ANSWER = RecordUsageResponse(accepted_count=1).SerializeToString()


def main() -> None:
    """Serves until it is killed."""
    kind, address = sys.argv[1:]
    if kind == "threaded":
        _serve_threaded(address)
    else:
        asyncio.run(_serve_asyncio(address))


def _serve_threaded(address: str) -> None:
    server = grpc.server(ThreadPoolExecutor(THREAD_COUNT_MAX))
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: ANSWER)
    server.add_registered_method_handlers(SERVICE_NAME, {"RecordUsage": handler})
    server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


async def _serve_asyncio(address: str) -> None:
    async def answer(_request: bytes, _context: object) -> bytes:
        return ANSWER

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_registered_method_handlers(SERVICE_NAME, {"RecordUsage": handler})
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    main()
