"""Starts a program of the distribution, or says which extra it needs."""

import importlib
import os
import sys


def run_program(module_name: str, *, extra: str) -> None:
    """Runs `main()` of a module whose libraries come with an extra of the distribution.

    gRPC's own log is silent, unless GRPC_VERBOSITY says otherwise.

    Args:
        module_name: Module with the program's `main`, e.g. "meter_agent.cli".
        extra: Extra that brings its libraries, e.g. "agent".

    Raises:
        SystemExit: A library is missing; the message names it and the remedy.
    """
    # What it would say of a port in use or a lost connection, the program says itself.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        own = module_name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] in {own, "metering"}:
            raise  # A part of the product itself is missing: that is a bug, not a choice.
        command = sys.argv[0].rpartition("/")[2]
        message = (
            f"{command}: the library '{error.name}' is not installed; "
            f"run: pip install 'meter-agent[{extra}]'"
        )
        raise SystemExit(message) from None
    module.main()
