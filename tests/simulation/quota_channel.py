"""The channel from a simulated agent to a server: calls that a network carries, or does not."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from meter_agent.uplink import client
from meter_agent.uplink.client import IdentityTakenError, UplinkError
from tests.simulation.quota_server import Refused, Replica
from tests.simulation.virtual_threads import Hub, Process, VirtualCondition, VirtualEvent

if TYPE_CHECKING:
    from tests.simulation.quota_agent import QuotaAgent


class _Answer(NamedTuple):
    message: Any
    error: UplinkError | None


class Call:
    """A call to a server, in flight or over."""

    def __init__(self, channel: "Channel", method: str, request: Any, *, seconds: float) -> None:
        agent = channel.agent
        self._agent, self._channel = agent, channel
        self._done = VirtualCondition(agent.hub)
        self._callbacks: list[Callable[[object], None]] = []
        self._answer: _Answer | None = None
        channel.calls.append(self)
        self._end: Callable[[], None] = lambda: None
        self._is_given_up = False
        world, replica = agent.world, channel.replica
        process, lineage = agent.process, agent.lineage

        def watch() -> Callable[[], None]:
            return agent.watch(request.disk_id, lineage=lineage)

        def reply(message: Any) -> None:
            world.send(replica.name, agent.name, lambda: self._heard(message, process))

        def arrive() -> None:
            if self._is_given_up and world.source.random() < 0.5:
                return
            self._end = agent.server.handle(
                replica,
                token=agent.token,
                method=method,
                request=request,
                reply=reply,
                watch=watch,
            )

        world.send(agent.name, replica.name, arrive)
        late = UplinkError(message="late")
        world.after(seconds, lambda: self._finish(_Answer(None, late)))

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self._callbacks.append(callback)

    def wait(self) -> Any:
        """Returns the answer.

        Raises:
            UplinkError: There was none.
        """
        self._done.wait_for(lambda: self._answer is not None)
        answer = self._answer
        assert answer is not None
        if answer.error is not None:
            raise answer.error
        return answer.message

    def cancel(self) -> None:
        """Gives the call up."""
        self._is_given_up = True
        world = self._agent.world
        world.send(self._agent.name, self._channel.replica.name, self._end)
        self.give_up()

    def give_up(self) -> None:
        """Ends the call here: its channel is closed."""
        self._finish(_Answer(None, UplinkError(message="given up", is_given_up=True)))

    def _heard(self, message: Any, process: Process) -> None:
        if process.is_dead:
            return
        if not isinstance(message, Refused):
            self._finish(_Answer(message, None))
            return
        error = message.error
        if error is None:
            told = UplinkError(message="unreachable", is_unreachable=True)
        elif error.reason == "IDENTITY_TAKEN":
            told = IdentityTakenError(message=error.message, is_answered=True)
        else:
            told = UplinkError(message=error.message, is_answered=True, reason=error.reason)
            self._agent.hub.fail(f"the server refused a call of {self._agent.name}: {error}")
        self._finish(_Answer(None, told))

    def _finish(self, answer: _Answer) -> None:
        if self._answer is None:
            self._answer = answer
            self._done.notify_all()
            for callback in self._callbacks:
                callback(self)


class Channel:
    """Stands in for `IngestClient`: a channel to one replica."""

    has_answered = True

    def __init__(
        self,
        agent: "QuotaAgent",
        target: str,
        *,
        token: str,
        credentials: object = None,
        call_seconds: float = client.CALL_SECONDS,
    ) -> None:
        self.agent, self.token = agent, token
        self.replica: Replica = next(
            each for each in agent.server.replicas if target == f"unix:/{each.name}"
        )
        self._call_seconds = call_seconds
        self.calls: list[Call] = []

    def open_session(self, request: Any) -> Any:
        return Call(self, "OpenSession", request, seconds=self._call_seconds).wait()

    def push_usage(self, request: Any) -> Any:
        return Call(self, "PushUsage", request, seconds=self._call_seconds).wait()

    def acquire_lease(self, request: Any, *, timeout_seconds: float) -> Any:
        return Call(self, "AcquireLease", request, seconds=timeout_seconds).wait()

    def begin_sync(self, request: Any) -> Call:
        return Call(self, "SyncLeases", request, seconds=client.SYNC_SECONDS)

    def sync_result(self, call: Call) -> Any:
        return call.wait()

    def close(self) -> None:
        """Closes it, and ends what is in flight."""
        for call in self.calls:
            call.give_up()


def virtual_waiting(hub: Hub, made: Any) -> Any:
    """Stands in for a waiting call of the asker, whose event is made with its class."""

    def make(*arguments: Any) -> Any:
        return made(*arguments, done=VirtualEvent(hub))

    return make
