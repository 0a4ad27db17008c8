"""Finding the running agent, and calling it, from the command line."""

import os
from pathlib import Path
from typing import Any, Final

from metering.errors import UnavailableError

CALL_SECONDS: Final = 5.0


def agent_targets(
    address: str | None, *, data_dir: Path | None, config: Path | None, instance: str | None
) -> tuple[str, ...]:
    """Returns where the running agent may be found, best first.

    Args:
        address: As given; None: METER_AGENT_ADDRESS, else as `serve` listens.
        data_dir: Of the agent.
        config: Its TOML file.
        instance: Its name where several run on a host.

    Raises:
        MeteringError: A setting is malformed.
    """
    from meter_agent.config import load_settings
    from meter_agent.edge.addresses import parse_address

    if address is None and data_dir is None and config is None and instance is None:
        address = os.environ.get("METER_AGENT_ADDRESS")
    if address is not None:
        return (parse_address(address, flag="--address").target,)
    settings = load_settings(config_file=config, flags={"data_dir": data_dir, "instance": instance})
    return tuple(item.target for item in settings.addresses)


def call_agent(targets: tuple[str, ...], method: str, request: Any) -> Any:
    """Returns what the first agent that is there answers.

    Args:
        targets: Where to look, best first.
        method: Of AgentService.
        request: Its request.

    Raises:
        MeteringError: It refused, or AGENT_NOT_RUNNING.
    """
    import grpc

    from metering.api.v1 import agent_pb2_grpc
    from metering.rpc import error_from_rpc

    for target in targets:
        with grpc.insecure_channel(target) as channel:
            stub = agent_pb2_grpc.AgentServiceStub(channel)  # type: ignore[no-untyped-call]
            try:
                return getattr(stub, method)(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise error_from_rpc(error) from None
    raise UnavailableError(
        reason="AGENT_NOT_RUNNING",
        message=f"no agent answers at {', '.join(targets)}; start one with `meter-agent serve`, or "
        "say where it listens with --address",
    )
