"""An agent that answers OK to everything without reading it: the other end of the SDK's bench.

Run as a process of its own: prints its address, and ends when its standard input is closed.
"""

import sys
from concurrent import futures

import grpc

from metering.api.v1.agent_pb2 import RecordUsageResponse

ANSWER = RecordUsageResponse(agent_id="sink").SerializeToString()


def main() -> None:
    """Listens on a free port until standard input ends."""
    handler = grpc.method_handlers_generic_handler(
        "metering.api.v1.AgentService",
        {"RecordUsage": grpc.unary_unary_rpc_method_handler(lambda _request, _context: ANSWER)},
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
