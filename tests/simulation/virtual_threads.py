"""Threads on virtual time: the agent's own threads run one at a time, as a seed has it.

A thread is a real one that runs only while it holds the baton. It gives it back where it waits: for
an event, a condition, a lock, a queue, or for time to pass. So whatever the product does between
two waits is one step of the simulation, and the same seed gives the same order.
"""

import queue
import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from tests.simulation.fleet_truth import Violation
from tests.simulation.fleet_world import Action, World

MOMENT = 1e-6
"""Seconds: no wait is shorter, so that time goes on where code waits for what is left of a wait."""

THREAD_NAME = "virtual"
"""Of the real threads."""


class Killed(BaseException):
    """Unwinds a thread whose process was killed."""


class Process:
    """What is killed, or frozen, together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.paused_until = 0.0
        self.threads: list[VirtualThread] = []


class Hub:
    """Hands the baton on.

    Args:
        world: Time and chance.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.current: VirtualThread | None = None
        self.failure: Violation | None = None
        self._building: Process | None = None
        self._baton = threading.Semaphore(0)
        self._processes: list[Process] = []

    @property
    def process(self) -> Process:
        """Whose code runs now."""
        process = self._building if self.current is None else self.current.process
        assert process is not None
        return process

    def fail(self, problem: str) -> None:
        """Notes what must not happen; product code cannot swallow it."""
        self.failure = self.failure or Violation(problem)

    @contextmanager
    def building(self, process: Process) -> Iterator[None]:
        """Lets threads that are made in the block belong to a process."""
        self._building = process
        self._processes.append(process)
        try:
            yield
        finally:
            self._building = None

    def run(self, process: Process, work: Action) -> None:
        """Begins a thread of a process."""
        VirtualThread(self, work, process=process).start()

    def kill(self, process: Process) -> None:
        """Ends a process; its threads unwind at once, or where they wait next."""
        process.is_dead = True
        for thread in tuple(process.threads):
            thread.wake()

    def kill_all(self) -> None:
        """Ends every process, and lets every thread unwind.

        What one does meanwhile no longer matters; each that were left would keep its whole world.
        """
        for process in self._processes:
            process.is_dead = True
            for thread in tuple(process.threads):
                self.failure = None
                with suppress(Violation):
                    self.resume(thread)
                thread.end()

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass in the thread that runs."""
        self.wait(deque(), seconds)

    def wait(self, waiting: "deque[VirtualThread]", seconds: float | None) -> None:
        """Parks the thread that runs until it is woken, or time has passed."""
        thread = self.current
        assert thread is not None, "only threads may wait"
        waiting.append(thread)
        if seconds is not None:
            turn = thread.turn
            self.world.after(max(seconds, 0.0), lambda: thread.wake(turn))
        try:
            thread.park()
        finally:
            if thread in waiting:
                waiting.remove(thread)

    def resume(self, thread: "VirtualThread") -> None:
        """Lets a thread run until it waits again."""
        if thread.is_over or not thread.has_started:
            return
        rest = thread.process.paused_until - self.world.now
        if rest > 0 and not thread.process.is_dead and not self.world.is_healed:
            self.world.after(rest, lambda: self.resume(thread))
            return
        before, self.current = self.current, thread
        thread.baton.release()
        self._baton.acquire()
        self.current = before
        if self.failure is not None:
            raise self.failure

    def give_back(self) -> None:
        """Gives the baton back to the hub."""
        self._baton.release()


class VirtualThread:
    """Stands in for `threading.Thread`."""

    def __init__(self, hub: Hub, target: Action, *, process: Process) -> None:
        self._hub = hub
        self._target = target
        self.process = process
        self.baton = threading.Semaphore(0)
        self.turn = 0
        self.has_started = self.is_over = False
        self._is_woken = True
        self._joining: deque[VirtualThread] = deque()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Begins."""
        self.has_started = True
        self.process.threads.append(self)
        self._thread.start()
        self._hub.world.after(0.0, lambda: self._hub.resume(self))

    def end(self) -> None:
        """Waits, in real time, until the thread of a killed process is gone."""
        self._thread.join()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.has_started and not self.is_over

    def join(self, timeout: float | None = None) -> None:
        """Waits for its end."""
        if not self.is_over:
            self._hub.wait(self._joining, timeout)

    def park(self) -> None:
        """Gives the baton back until it is woken."""
        self._raise_if_killed()
        self._is_woken = False
        self._hub.give_back()
        self.baton.acquire()
        self._is_woken = True
        self.turn += 1
        self._raise_if_killed()

    def wake(self, turn: int | None = None) -> None:
        """Lets it run again soon, unless it was woken since."""
        if self._is_woken or (turn is not None and turn != self.turn):
            return
        self._is_woken = True
        self._hub.world.after(0.0, lambda: self._hub.resume(self))

    def _raise_if_killed(self) -> None:
        if self.process.is_dead:
            raise Killed

    def _run(self) -> None:
        self.baton.acquire()
        try:
            self._raise_if_killed()
            self._target()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the world must hear of it
            self._hub.fail(f"a thread of {self.process.name} ended: {error!r}")
        self.is_over = True
        self.process.threads.remove(self)
        for thread in tuple(self._joining):
            thread.wake()
        self._hub.give_back()


class VirtualThreading:
    """Stands in for the module `threading`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def Thread(self, *, target: Action, name: str = "", daemon: bool = True) -> VirtualThread:
        return VirtualThread(self._hub, target, process=self._hub.process)

    def Event(self) -> "VirtualEvent":
        return VirtualEvent(self._hub)

    def Condition(self) -> "VirtualCondition":
        return VirtualCondition(self._hub)

    def Lock(self) -> "VirtualLock":
        return VirtualLock(self._hub)


class VirtualCondition:
    """Nothing interrupts a thread between two waits, so its lock locks nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: deque[VirtualThread] = deque()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else self._hub.world.now + max(timeout, MOMENT)
        while not (found := predicate()):
            rest = None if end is None else end - self._hub.world.now
            if rest is not None and rest <= 0:
                break
            self._hub.wait(self._waiting, rest)
        return found

    def notify_all(self) -> None:
        for thread in tuple(self._waiting):
            thread.wake()

    notify = notify_all


class VirtualEvent(VirtualCondition):
    """Stands in for `threading.Event`."""

    _is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self.notify_all()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self.wait_for(self.is_set, timeout))


class VirtualLock(VirtualCondition):
    """Stands in for `threading.Lock`; another thread than the one that took it may release it."""

    _is_taken = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, *, timeout: float = -1) -> bool:
        if not self.wait_for(lambda: not self._is_taken, None if timeout < 0 else timeout):
            return False
        self._is_taken = True
        return True

    def release(self) -> None:
        self._is_taken = False
        self.notify_all()


class VirtualQueue(VirtualCondition):
    """Stands in for `queue.SimpleQueue`."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self.notify_all()

    def get(self, timeout: float | None = None) -> Any:
        self.wait_for(lambda: self._items, timeout)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class _Queues:
    """Stands in for the module `queue`."""

    Empty = queue.Empty

    def __init__(self, hub: Hub) -> None:
        self.SimpleQueue = lambda: VirtualQueue(hub)


class _Secrets:
    """Stands in for the module `secrets`: bytes and waits drawn from the seed."""

    def __init__(self, world: World) -> None:
        self.token_bytes = world.source.randbytes
        self.SystemRandom = lambda: world.source


class _Time:
    """Stands in for the module `time`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.now


class _Log:
    """Stands in for a logger: what is logged as a bug is one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def exception(self, event: str, **_: Any) -> None:
        self._hub.fail(f"{self._hub.process.name}: {event}\n{traceback.format_exc()}")

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return lambda *_, **__: None


@contextmanager
def virtual_modules(hub: Hub, modules: tuple[ModuleType, ...]) -> Iterator[None]:
    """Puts virtual time in the place of what modules import, for as long as the block runs."""
    stand_ins = {
        "threading": VirtualThreading(hub),
        "secrets": _Secrets(hub.world),
        "time": _Time(hub.world),
        "queue": _Queues(hub),
        "_LOG": _Log(hub),
    }
    real = {"threading": threading, "secrets": secrets, "time": time, "queue": queue}
    changed = []
    for module in modules:
        for name, stand_in in stand_ins.items():
            found = getattr(module, name, None)
            if found is not None and found is real.get(name, found):
                changed.append((module, name, found))
                setattr(module, name, stand_in)
    try:
        yield
    finally:
        for module, name, found in changed:
            setattr(module, name, found)
