"""The two programs, forked from a process that has loaded them.

Loading a program takes longer than all else that its start does: a test that kills by the dozen
would spend most of its time on it. Loading itself is tested where programs are started as commands.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Final

from tools.programs import Program

_COMMANDS: Final = {"meter-agent": "meter_agent.cli", "billing-server": "billing_server.cli.app"}
_LOADED: Final = [*_COMMANDS.values(), "meter_agent.bootstrap", "billing_server.bootstrap"]


class ForkedProgram(Program):
    """A program that is started by a fork and otherwise like one that was started as a command."""

    @classmethod
    def like(cls, program: Program) -> "ForkedProgram":
        """Returns the same program, not started."""
        return cls(
            name=program.name,
            arguments=program.arguments,
            log_path=program.log_path,
            is_ready=program.is_ready,
            env=program.env,
        )

    def spawn(self) -> "ForkedProcess":
        """Starts the process."""
        return ForkedProcess(self)


class ForkedProcess:
    """What `subprocess.Popen` offers of a process, as far as programs are ended and watched."""

    def __init__(self, program: Program) -> None:
        described = (program.name, list(program.arguments), str(program.log_path))
        self._process: ForkServerProcess = _context().Process(
            target=_run, args=(*described, dict(program.env)), daemon=True
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit code; minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Returns its exit code, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end.

        Raises:
            TimeoutExpired: It still runs.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def _run(name: str, arguments: list[str], log_path: str, env: dict[str, str]) -> None:
    os.environ.update(env)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = [name, *arguments]
    importlib.import_module(_COMMANDS[name]).main()
