"""A billing server that takes every push without looking at its events: the agent's limit.

`python -m tests.bench.stub_server EVENT_COUNT` prints its address, and when it has got so many
events, the seconds since the first push.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from metering.api.v1 import ingest_pb2, ingest_pb2_grpc

MESSAGE_BYTES_MAX = 16 * 1024 * 1024


class StubServer(ingest_pb2_grpc.IngestServiceServicer):
    """One agent's position, and nothing else."""

    def __init__(self, event_count: int) -> None:
        self._event_count = event_count
        self._applied_seq = 0
        self._began = 0.0
        self.is_over = threading.Event()

    def OpenSession(
        self, request: ingest_pb2.OpenSessionRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.OpenSessionResponse:
        return ingest_pb2.OpenSessionResponse(
            agent_id="bench",
            session_no=1,
            server_incarnation="bench",
            applied_seq=self._applied_seq,
            safe_seq=self._applied_seq,
            push_event_count_max=5_000,
            push_bytes_max=4 << 20,
        )

    def PushUsage(
        self, request: ingest_pb2.PushUsageRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.PushUsageResponse:
        self._began = self._began or time.monotonic()
        count = sum(block.event_count for block in request.blocks)
        self._applied_seq = request.first_seq + count - 1
        if self._applied_seq >= self._event_count and not self.is_over.is_set():
            print(time.monotonic() - self._began, flush=True)
            self.is_over.set()
        return ingest_pb2.PushUsageResponse(
            result=ingest_pb2.PUSH_RESULT_APPLIED,
            server_incarnation="bench",
            applied_seq=self._applied_seq,
            safe_seq=self._applied_seq,
            counted=count,
        )


def main() -> None:
    """Serves until it is killed."""
    server = grpc.server(
        ThreadPoolExecutor(2), options=(("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),)
    )
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(StubServer(int(sys.argv[1])), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
