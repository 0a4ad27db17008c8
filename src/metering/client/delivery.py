"""What is in flight, and what to do about each answer: pure, so every path can be played.

Requests are sent one at a time and in order. A request that the agent refuses as a whole is halved
until the event that spoils it stands alone: that one is given up, all others arrive.
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


class Delivery:
    """The requests in flight, the first of which is to be sent next."""

    def __init__(self, *, isolation_attempt_count_max: int) -> None:
        self._isolation_attempt_count_max = isolation_attempt_count_max
        self._requests: deque[tuple[EventFrame, ...]] = deque()
        self._internal_count = 0
        self.failure_count = 0
        """Failures in a row; 0 after an answer."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._requests

    @property
    def current(self) -> tuple[EventFrame, ...]:
        """The events of the request to send now; there must be one."""
        return self._requests[0]

    def start(self, requests: Sequence[tuple[EventFrame, ...]]) -> None:
        """Puts requests in flight, after those that are."""
        self._requests.extend(requests)

    def answered(self, rejections: Sequence[Rejection]) -> Progress:
        """Ends the current request: all its events are durable but the rejected ones."""
        frames = self._requests.popleft()
        self.failure_count = 0
        self._internal_count = 0
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
        if failure.kind is FailureKind.INTERNAL:
            self._internal_count += 1
            if self._internal_count < self._attempts_before_isolation():
                return NO_PROGRESS
        return self._isolate(failure)

    def _attempts_before_isolation(self) -> int:
        is_alone = len(self.current) == 1
        return self._isolation_attempt_count_max if is_alone else INTERNAL_ATTEMPTS_BEFORE_SPLIT

    def _isolate(self, failure: Failure) -> Progress:
        frames = self._requests.popleft()
        self._internal_count = 0
        if len(frames) > 1:
            middle = len(frames) // 2
            self._requests.appendleft(frames[middle:])
            self._requests.appendleft(frames[:middle])
            return NO_PROGRESS
        refusal = Refusal(
            reason=f"REQUEST_{failure.code}",
            message=f"The agent refuses every request with this event: {failure.message}",
        )
        return Progress(accepted=0, given_up=(GivenUp(frames[0], refusal),))
