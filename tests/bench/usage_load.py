"""Usage as services send it: serialized requests, and callers that send them.

Every event has two quantities and two dimensions and is one of 1,000 customers.
"""

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.ids import uuid7

METHOD = "/metering.api.v1.AgentService/RecordUsage"
CUSTOMER_COUNT = 1_000
BODY_COUNT = 20
ROUND_COUNT = 3


def usage_requests(size: int, *, count: int = BODY_COUNT) -> list[bytes]:
    """Returns serialized requests of `size` events each, as the SDK sends them."""
    now = int(time.time())
    numbers = itertools.count()
    bodies = []
    for _ in range(count):
        request = RecordUsageRequest()
        for number in itertools.islice(numbers, size):
            event = request.events.add(
                event_id=uuid7(),
                customer_id=f"customer-{number * 7 % CUSTOMER_COUNT}",
                quantities={
                    "input_tokens": str(number * 37 % 20_000),
                    "output_tokens": str(number * 11 % 3_000),
                },
                dimensions={
                    "model": ("large", "small")[number % 2],
                    "region": ("eu", "us")[number // 2 % 2],
                },
            )
            event.event_time.seconds = now - number % 100
            event.event_time.nanos = number * 1_000_003 % 1_000_000_000
        bodies.append(request.SerializeToString())
    return bodies


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered OK."""

    calls_per_second: float
    """Median over the rounds."""
    call_count: int
    """In all rounds."""


@contextmanager
def record_usage_call(address: str) -> Iterator[grpc.UnaryUnaryMultiCallable]:
    """Yields RecordUsage from bytes to bytes, on a connection of its own that stands."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(address, options=options) as channel:
        call = channel.unary_unary(METHOD)
        call(usage_requests(1, count=1)[0], wait_for_ready=True)
        yield call


def call_for(
    call: grpc.UnaryUnaryMultiCallable, bodies: list[bytes], *, in_flight: int, seconds: float
) -> Answered:
    """Keeps so many calls in flight for so long; each must be answered OK."""
    rounds = [
        _one_round(call, bodies, in_flight=in_flight, seconds=seconds / ROUND_COUNT)
        for _ in range(ROUND_COUNT)
    ]
    return Answered(
        calls_per_second=statistics.median(count / elapsed for count, elapsed in rounds),
        call_count=sum(count for count, _ in rounds),
    )


def _one_round(
    call: grpc.UnaryUnaryMultiCallable, bodies: list[bytes], *, in_flight: int, seconds: float
) -> tuple[int, float]:
    """Returns the calls answered OK, and the seconds that it took."""
    slots = threading.Semaphore(in_flight)
    failures: list[BaseException] = []

    def done(future: grpc.Future) -> None:
        error = future.exception()
        if error is not None:
            failures.append(error)
        slots.release()

    start = time.perf_counter()
    count = 0
    for body in itertools.cycle(bodies):
        if time.perf_counter() - start >= seconds:
            break
        slots.acquire()
        call.future(body).add_done_callback(done)
        count += 1
    for _ in range(in_flight):
        slots.acquire()
    elapsed = time.perf_counter() - start
    if failures:
        raise failures[0]
    return count, elapsed
