"""Runs the two programs as processes: for the demo, `make run` and the end-to-end tests."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

BIN = Path(sys.executable).parent
START_SECONDS_MAX = 120.0
"""A machine that does much else needs long to load a program."""
STOP_SECONDS_MAX = 20.0
FREE_PORTS = range(20_000, 32_000)


class ProgramError(Exception):
    """A program did not start, or a command of it failed; says which, with its last words."""


def free_port() -> int:
    """Returns a loopback TCP port that was free a moment ago.

    Below those that the kernel gives to outgoing connections: one of them would take the port of a
    program that is just being started again.

    Raises:
        ProgramError: Not one of many is free.
    """
    for _ in range(len(FREE_PORTS)):
        # Of the operating system's randomness: test runners give every worker the same seed.
        port = FREE_PORTS[secrets.randbelow(len(FREE_PORTS))]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ProgramError(f"no TCP port of {FREE_PORTS} is free")


def wait_until(is_true: Callable[[], bool], *, what: str, seconds: float) -> None:
    """Waits until a condition holds, looking 20 times a second.

    Raises:
        ProgramError: it did not hold within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise ProgramError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)


def run_command(*words: str | Path, env: dict[str, str] | None = None) -> str:
    """Runs one of the project's commands to its end and returns what it printed.

    Raises:
        ProgramError: it exited with another code than 0; carries what it said.
    """
    name, *rest = (str(word) for word in words)
    done = subprocess.run(
        [str(BIN / name), *rest],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **(env or {})},
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ProgramError(f"{name} {' '.join(rest)} exited with {done.returncode}: {said}")
    return done.stdout


class Process(Protocol):
    """A process as `subprocess.Popen` shows it."""

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""

    def poll(self) -> int | None:
        """Returns its exit code, None while it runs."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Sends a signal."""

    def kill(self) -> None:
        """Ends it with SIGKILL."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end."""


@dataclass
class Program:
    """One program of the project as a child process that can be killed and started again."""

    name: str
    """Console script, e.g. "meter-agent"."""
    arguments: Sequence[str]
    """What follows the name."""
    log_path: Path
    """Where its output goes, appended over restarts."""
    is_ready: Callable[[], bool]
    """Whether it answers."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of this process."""
    process: Process | None = field(default=None, init=False)

    def start(self) -> None:
        """Starts it and returns once it answers.

        Raises:
            ProgramError: it ended, or did not answer in time.
        """
        self.process = self.spawn()
        wait_until(self._answers_or_ended, what=f"start of {self.name}", seconds=START_SECONDS_MAX)
        if self.process.poll() is not None:
            tail = self.log_path.read_text(errors="replace")[-2000:]
            raise ProgramError(f"{self.name} ended with {self.process.returncode}:\n{tail}")

    def spawn(self) -> Process:
        """Starts the process."""
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [str(BIN / self.name), *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
            )

    def _answers_or_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None or self.is_ready()

    def kill(self) -> None:
        """Ends it with SIGKILL: nothing is flushed, nothing is said."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends it with SIGTERM and returns its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code


def server_program(
    data_dir: Path, *, grpc_port: int, http_port: int, extra: Sequence[str] = ()
) -> Program:
    """Describes a billing server on loopback ports with its data in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)

    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=1) as reply:
                return bool(reply.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            return False

    return Program(
        name="billing-server",
        arguments=[
            "serve",
            f"--data-dir={data_dir}",
            f"--grpc-listen=127.0.0.1:{grpc_port}",
            f"--http-listen=127.0.0.1:{http_port}",
            *extra,
        ],
        log_path=data_dir.parent / f"{data_dir.name}.log",
        is_ready=is_ready,
    )


def agent_program(
    data_dir: Path, *, port: int, server_port: int, token_file: Path, extra: Sequence[str] = ()
) -> Program:
    """Describes an agent on a loopback port that ships to a server on another."""
    data_dir.mkdir(parents=True, exist_ok=True)

    def is_ready() -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=1
                )
            except grpc.RpcError:
                return False
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    return Program(
        name="meter-agent",
        arguments=[
            "serve",
            f"--listen=127.0.0.1:{port}",
            f"--data-dir={data_dir}",
            f"--server=127.0.0.1:{server_port}",
            f"--token-file={token_file}",
            *extra,
        ],
        log_path=data_dir.parent / f"{data_dir.name}.log",
        is_ready=is_ready,
    )
