"""The agent as a process of its own, to be stopped, killed and started again."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.api.v1.usage_pb2 import UsageEvent
from tests.meter_agent.support import WAIT_SECONDS, wait_until


class AgentProcess:
    """`meter-agent serve` on a socket and a data directory below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.address = f"unix:{directory / 'a.sock'}"
        self.log_path = directory / "agent.log"
        self.command = [
            sys.executable,
            "-m",
            "meter_agent.cli",
            "serve",
            f"--data-dir={self.data_dir}",
            f"--listen={self.address}",
        ]
        self.banner = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, *arguments: str) -> None:
        """Starts it and returns once it has said where it listens."""
        with self.log_path.open("a") as log:
            self._process = subprocess.Popen(
                [*self.command, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        self.banner = self._process.stdout.readline()
        assert self.banner, self.log_path.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(WAIT_SECONDS)
        self._close()
        return code

    def has_ended(self) -> bool:
        """Returns whether a process that was told to stop has ended; a clean end is a must."""
        assert self._process is not None
        code = self._process.poll()
        assert code in (None, 0)
        return code == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_SECONDS)
            self._close()

    def wait_for(self, is_met: Callable[[], bool]) -> None:
        wait_until(is_met)

    def record(self, items: list[UsageEvent]) -> None:
        with grpc.insecure_channel(self.address) as channel:
            stub = agent_pb2_grpc.AgentServiceStub(channel)
            request = agent_pb2.RecordUsageRequest(events=items)
            answer = stub.RecordUsage(request, timeout=WAIT_SECONDS, wait_for_ready=True)
            assert answer.accepted_count == len(items)

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
