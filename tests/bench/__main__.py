"""Runs the benchmarks and prints their tables: `make bench`, `make bench BENCH=agent`."""

import argparse
import importlib
import logging
import os
import platform
import sqlite3
import sys

import structlog

from tests.bench.row import format_rows

# Each module has `run(*, seconds)`, which measures for about that long a figure.
BENCHES = {
    "sdk": "The SDK in the caller's process",
    "agent": "The agent on one core",
    "latency": "RecordUsage of 10 events at 20 % load",
    "reserve": "Holding quota on a warm lease, one core",
    "leases": "Calls about leases of 10,000 customers",
    "drain": "A backlog of 3,000,000 events",
    "visible": "From a use to the live charge",
    "server": "The server on SQLite, one core",
    "counting": "Counting beside its prices and its past, and verify, one core",
    "rating": "Rating, one core, without a store",
}


def main() -> int:
    """Runs what is named, or all; returns 0."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which; default all")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure a figure")
    arguments = parser.parse_args()
    warnings_only = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=warnings_only)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, {platform.machine()}\n"
    )
    for name in arguments.names or BENCHES:
        module = importlib.import_module(f"tests.bench.bench_{name}")
        print(
            format_rows(BENCHES[name], module.run(seconds=arguments.seconds)),
            end="\n\n",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
