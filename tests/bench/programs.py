"""Programs on a core of their own, and what the kernel says about them."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.row import BenchRow

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH_DIR = ROOT / ".bench"
FSYNC_COUNT = 100
BUDGET_BYTES = 8 << 30
"""So that no figure is cut short by a full buffer."""
_USER_TICKS_FIELD = 11
"""Of /proc/PID/stat, counted from behind the name; the system's ticks follow."""


@contextmanager
def two_cores() -> Iterator[tuple[int, int]]:
    """Runs the caller on the last core and yields (a core for the program, the caller's core)."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    try:
        os.sched_setaffinity(0, {cores[-1]})
        yield cores[0], cores[-1]
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def bench_directory(name: str) -> Iterator[Path]:
    """Yields an empty directory on the project's own disk and removes it at the end."""
    BENCH_DIR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=BENCH_DIR) as made:
        yield Path(made)


@dataclass(frozen=True, slots=True)
class Running:
    """A program that has said its first line."""

    process: subprocess.Popen[str]
    """With its standard output behind that line."""
    banner: str
    """The line."""

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self.process.pid

    def next_line(self) -> str:
        """Waits for the next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it; returns once it is gone."""
        self.process.send_signal(number)
        with self.process:
            pass


def start_module(core: int, arguments: Sequence[str]) -> Running:
    """Starts a module on one core; returns once it has said its first line."""

    def pin() -> None:
        os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pin,  # noqa: PLW1509 - before any thread of the program: all inherit it
    )
    assert process.stdout is not None
    banner = process.stdout.readline().strip()
    assert banner, f"{arguments[0]} did not start"
    return Running(process, banner)


@contextmanager
def module_on(core: int, arguments: Sequence[str]) -> Iterator[Running]:
    """Runs a module on one core until the block ends."""
    running = start_module(core, arguments)
    try:
        yield running
    finally:
        running.end()


def start_agent(core: int, data_dir: Path, *, address: str, extra: Sequence[str] = ()) -> Running:
    """Starts an agent on a core; returns once it listens."""
    return start_module(
        core,
        [
            "meter_agent.cli",
            "serve",
            f"--data-dir={data_dir}",
            f"--listen={address}",
            f"--disk-budget-bytes={BUDGET_BYTES}",
            "--log-level=error",
            *extra,
        ],
    )


@contextmanager
def agent_on(
    core: int, data_dir: Path, *, address: str, extra: Sequence[str] = ()
) -> Iterator[Running]:
    """Runs an agent on a core until the block ends."""
    running = start_agent(core, data_dir, address=address, extra=extra)
    try:
        yield running
    finally:
        running.end()


def uplink_options(server: str, *, token: str, directory: Path) -> list[str]:
    """Returns what makes an agent ship to a server; the token lies in a file of the directory."""
    token_file = directory / "token"
    token_file.write_text(token)
    token_file.chmod(0o600)
    return [f"--server={server}", f"--token-file={token_file}"]


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process has used, its own and the kernel's for it."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = text.rpartition(") ")[2].split()
    ticks = int(fields[_USER_TICKS_FIELD]) + int(fields[_USER_TICKS_FIELD + 1])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int, *, field: str = "VmRSS") -> float:
    """Returns the memory that a process has in RAM; with `VmHWM`, the most that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.startswith(field)]
    return int(line.split()[1]) / 1024


def fsync_milliseconds(directory: Path) -> float:
    """Returns the median time of appending 4 KiB and making it durable."""
    times = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(FSYNC_COUNT):
            file.write(b"x" * 4_096)
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1_000


def fsync_row(directory: Path) -> BenchRow:
    """Returns the disk's own time, which stands beside every figure of a durable answer."""
    return BenchRow("fsync of 4 KiB, median", fsync_milliseconds(directory), "ms")


def quantile(values: Sequence[float], share: float) -> float:
    """Returns the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
