"""What is in flight, and what to do about each answer: pure, so every path can be played.

Requests are sent one at a time and in order. A request that the agent refuses as a whole is halved
until the event that spoils it stands alone: that one is given up, all others arrive.

An internal error of the agent says nothing of the kind: it may be the agent's own trouble, which
passes. So an event alone goes to the end of the line, and only where it fails again and again
while other requests pass in between is it the event's fault.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from metering.client.event import EventFrame, Refusal

INTERNAL_ATTEMPTS_BEFORE_SPLIT = 3
"""Internal errors in a row after which a request is suspected to hold a spoiling event."""


class FailureKind(Enum):
    """What a failed request asks for."""

    TRANSIENT = "transient"
    """The agent is away, busy or misconfigured: the same request may pass later."""
    REFUSED = "refused"
    """The request itself is at fault and will never pass as it is."""
    INTERNAL = "internal"
    """The agent failed while it handled the request: perhaps because of an event in it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a request failed."""

    kind: FailureKind
    """What it asks for."""
    code: str
    """Name of the gRPC status, e.g. UNAVAILABLE."""
    message: str
    """For people."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event of a request that the agent did not accept."""

    index: int
    """Position in the request, from 0."""
    refusal: Refusal
    """Why."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An event that will not be tried again."""

    frame: EventFrame
    """The event."""
    refusal: Refusal
    """Why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an answer or a failure settled."""

    accepted: int
    """Events that the agent made durable. >= 0."""
    given_up: tuple[GivenUp, ...]
    """Events that were refused for good."""


NO_PROGRESS = Progress(accepted=0, given_up=())


def pack_frames(
    frames: Sequence[EventFrame], *, event_count_max: int, bytes_max: int
) -> list[tuple[EventFrame, ...]]:
    """Cuts frames into requests within both bounds, in order; none is empty."""
    requests: list[tuple[EventFrame, ...]] = []
    current: list[EventFrame] = []
    size = 0
    for frame in frames:
        frame_size = len(frame.payload)
        if current and (len(current) >= event_count_max or size + frame_size > bytes_max):
            requests.append(tuple(current))
            current, size = [], 0
        current.append(frame)
        size += frame_size
    if current:
        requests.append(tuple(current))
    return requests


@dataclass(slots=True)
class _Request:
    frames: tuple[EventFrame, ...]
    internal_count: int = 0
    """Internal errors in answer to it."""
    fault_count: int = 0
    """Of these, those that came after another request had passed in between."""
    answer_count: int = 0
    """Requests that had passed when it failed last."""


class Delivery:
    """The requests in flight, the first of which is to be sent next."""

    def __init__(self, *, isolation_attempt_count_max: int) -> None:
        self._isolation_attempt_count_max = isolation_attempt_count_max
        self._requests: deque[_Request] = deque()
        self._answer_count = 0
        self.failure_count = 0
        """Failures in a row; 0 after an answer."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._requests

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is in flight but single events that failed: others should come by."""
        return all(
            len(request.frames) == 1 and request.internal_count for request in self._requests
        )

    @property
    def current(self) -> tuple[EventFrame, ...]:
        """The events of the request to send now; there must be one."""
        return self._requests[0].frames

    def start(self, requests: Sequence[tuple[EventFrame, ...]]) -> None:
        """Puts requests in flight, after those that are."""
        self._requests.extend(_Request(frames) for frames in requests)

    def answered(self, rejections: Sequence[Rejection]) -> Progress:
        """Ends the current request: all its events are durable but the rejected ones."""
        frames = self._requests.popleft().frames
        self.failure_count = 0
        self._answer_count += 1
        by_index = {
            rejection.index: rejection.refusal
            for rejection in rejections
            if 0 <= rejection.index < len(frames)
        }
        given_up = tuple(GivenUp(frames[index], by_index[index]) for index in sorted(by_index))
        return Progress(accepted=len(frames) - len(given_up), given_up=given_up)

    def failed(self, failure: Failure) -> Progress:
        """Keeps, halves or gives up the current request, as the failure asks for."""
        self.failure_count += 1
        if failure.kind is FailureKind.TRANSIENT:
            return NO_PROGRESS
        if failure.kind is FailureKind.INTERNAL and not self._is_to_be_isolated(self._requests[0]):
            return NO_PROGRESS
        return self._isolate(failure)

    def _is_to_be_isolated(self, request: _Request) -> bool:
        """Counts an internal error; an event alone makes way for the other requests."""
        request.internal_count += 1
        if len(request.frames) > 1:
            return request.internal_count >= INTERNAL_ATTEMPTS_BEFORE_SPLIT
        if request.internal_count > 1 and self._answer_count > request.answer_count:
            request.fault_count += 1
        request.answer_count = self._answer_count
        if request.fault_count >= self._isolation_attempt_count_max:
            return True
        self._requests.rotate(-1)
        return False

    def _isolate(self, failure: Failure) -> Progress:
        frames = self._requests.popleft().frames
        if len(frames) > 1:
            middle = len(frames) // 2
            self._requests.appendleft(_Request(frames[middle:]))
            self._requests.appendleft(_Request(frames[:middle]))
            return NO_PROGRESS
        refusal = Refusal(
            reason=f"REQUEST_{failure.code}",
            message=f"The agent refuses every request with this event: {failure.message}",
        )
        return Progress(accepted=0, given_up=(GivenUp(frames[0], refusal),))
