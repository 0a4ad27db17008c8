"""The contract as it was first published, spoken without the present stubs.

Its files lie in `older_contract/`. They are compiled into a pool of their own, so that a message of
an older program is what that program would have sent: it knows no field that came later.
"""

import functools
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parent
CONTRACT = FOLDER / "older_contract"
PACKAGE = "metering.api.v1"
CALL_SECONDS = 30.0


@functools.cache
def older_messages() -> Mapping[str, Any]:
    """Returns the older contract's message classes by name."""
    files = sorted(str(path) for path in CONTRACT.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "set"
        includes = [f"-I{CONTRACT}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
        code = protoc.main(
            ["protoc", *includes, f"--descriptor_set_out={out}", "--include_imports", *files]
        )
        assert code == 0
        compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    names = [
        message.name
        for file in compiled.file
        if file.package == PACKAGE
        for message in file.message_type
    ]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in names
    }


class OlderClient:
    """Calls methods as an older program does.

    Args:
        address: Of the present program.
        service: E.g. "IngestService".
        token: Bearer token; empty: none is sent.
    """

    def __init__(self, address: str, *, service: str, token: str = "") -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channel = grpc.insecure_channel(address, options=options)
        self._service = service
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: str, **fields: Any) -> Any:
        """Calls a method with the fields of its request; returns the answer."""
        messages = older_messages()
        call = self._channel.unary_unary(
            f"/{PACKAGE}.{self._service}/{method}",
            request_serializer=messages[f"{method}Request"].SerializeToString,
            response_deserializer=messages[f"{method}Response"].FromString,
        )
        request = messages[f"{method}Request"](**fields)
        return call(request, metadata=self._metadata, timeout=CALL_SECONDS, wait_for_ready=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class OlderServer:
    """Serves methods of the older contract and health: any other is unknown to it.

    Args:
        service: E.g. "IngestService".
        methods: By name; each takes a request and returns the fields of its answer.
    """

    def __init__(self, service: str, *, methods: Mapping[str, Callable[[Any], Any]]) -> None:
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers = {name: _handler(name, answer) for name, answer in methods.items()}
        self._server.add_registered_method_handlers(f"{PACKAGE}.{service}", handlers)
        told = health.HealthServicer()
        told.set(f"{PACKAGE}.{service}", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(told, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


def _handler(name: str, answer: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
    messages = older_messages()
    return grpc.unary_unary_rpc_method_handler(
        lambda request, _: messages[f"{name}Response"](**answer(request)),
        request_deserializer=messages[f"{name}Request"].FromString,
        response_serializer=messages[f"{name}Response"].SerializeToString,
    )
