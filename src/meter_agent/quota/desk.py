"""Answers for quota: each question is one commit, and the server is asked before a refusal."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from meter_agent.core.quota.decide import QuotaDecision, QuotaRequest, Reach, Shortage, Verdict
from meter_agent.core.quota.terms import LimitTerms
from meter_agent.quota import ending, reserving, usage
from meter_agent.quota.answers import Answer, Denied, Ended, Granted, Question
from meter_agent.quota.ending import End
from meter_agent.quota.reserving import Counter, Extend, Reserve
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation, Recorded
from metering.api.v1.usage_pb2 import UsageEvent
from metering.errors import InvariantError

ASK_COUNT_MAX: Final = 10
"""How often the server is asked for one call while it grants something each time: other calls may
take it first."""
ASK_MARGIN_US: Final = 100_000
"""So long before the caller's deadline nothing is asked any more."""
_US_PER_SECOND: Final = 1_000_000
SETTLEMENT_BYTES: Final = 96
"""What debits and the settlement add to an event, about."""

Result = TypeVar("Result")


class Writing(Protocol):
    """Makes changes durable."""

    def submit(self, operation: Operation) -> None:
        """Queues a change; it is durable once its ticket's wait returns."""
        ...


class Asking(Protocol):
    """Asks the server for leases and terms."""

    def reach(self) -> Reach:
        """Tells whether the server can be asked now; waits a little for a first session."""
        ...

    def ask(
        self, customer_id: str, shortages: Sequence[Shortage], *, timeout_seconds: float
    ) -> Reach:
        """Asks, together with others who ask.

        Returns:
            ASKABLE where something was granted or told, so that it is worth looking again;
            ANSWERED where nothing was; AWAY where there was no answer in time.
        """
        ...


class Offline:
    """An agent without a server: nobody can be asked, and there are no limits."""

    def reach(self) -> Reach:
        """Tells that nobody can be asked."""
        return Reach.AWAY

    def ask(
        self, customer_id: str, shortages: Sequence[Shortage], *, timeout_seconds: float
    ) -> Reach:
        """Tells that nobody can be asked."""
        return Reach.AWAY


class QuotaDesk:
    """Reserves, extends, ends and checks. Any thread may call.

    Args:
        counter: What is known, and what counts.
        writer: Makes changes durable.
        asking: Asks the server.
    """

    def __init__(self, counter: Counter, *, writer: Writing, asking: Asking) -> None:
        self.counter: Final = counter
        self._writer = writer
        self._asking = asking

    def reserve(self, asked: Reserve, *, timeout_seconds: float) -> Granted | Denied:
        """Holds quota for a call.

        Args:
            asked: What for.
            timeout_seconds: How long the caller waits.

        Raises:
            MeteringError: It cannot be decided, or is not durable.
        """

        def decide(attempt: int, reach: Reach) -> Answer:
            tried = replace(asked, attempt=attempt)
            return self._run(
                lambda: (reserving.reserve(tried, counter=self.counter, reach=reach), None),
                timeout_seconds=timeout_seconds,
            )

        return self._decide(asked.request.customer_id, decide, timeout_seconds=timeout_seconds)

    def extend(self, asked: Extend, *, timeout_seconds: float) -> Granted | Denied:
        """Adds to a reservation, or renews it.

        Args:
            asked: What to add.
            timeout_seconds: How long the caller waits.

        Raises:
            MeteringError: It cannot be decided, or is not durable.
        """

        def decide(attempt: int, reach: Reach) -> Answer:
            tried = replace(asked, attempt=attempt)
            return self._run(
                lambda: (reserving.extend(tried, counter=self.counter, reach=reach), None),
                timeout_seconds=timeout_seconds,
            )

        found = self.counter.book.held_reservation(asked.reservation_id)
        customer_id = "" if found is None else found.customer_id
        return self._decide(customer_id, decide, timeout_seconds=timeout_seconds)

    def end(
        self, asked: End, *, receive_time_us: int, caller: str, timeout_seconds: float
    ) -> Ended:
        """Settles or releases a reservation; its usage is durable once this returns.

        Args:
            asked: What ends it.
            receive_time_us: Wall clock, microseconds since 1970 UTC.
            caller: Name of the service, for the disk budget.
            timeout_seconds: How long the caller waits.

        Raises:
            MeteringError: It was ended before in another way, is unknown, or is not durable.
        """
        size = SETTLEMENT_BYTES + sum(len(name) + 24 for name in asked.quantities)
        event_time_us = receive_time_us
        if asked.event_time is not None:
            event_time_us = min(event_time_us, asked.event_time.ToMicroseconds())
        return self._run(
            lambda: ending.end(asked, counter=self.counter),
            timeout_seconds=timeout_seconds,
            events=bytes(size) if asked.quantities else b"",
            event_count=1 if asked.quantities else 0,
            receive_time_us=receive_time_us,
            oldest_event_time_us=event_time_us,
            caller=caller,
        )

    def check(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaDecision:
        """Tells what a reservation would be answered; holds nothing.

        Args:
            request: What is asked for.
            timeout_seconds: How long the caller waits.
        """
        decision = self._check(request, self._asking.reach())
        if decision is not None and decision.verdict is not Verdict.ASK:
            return decision
        # What is left at the server is told with the terms: they are asked for anew.
        reach = self._asking.ask(request.customer_id, (), timeout_seconds=timeout_seconds)
        decision = self._check(request, reach)
        if decision is None:
            return QuotaDecision(verdict=Verdict.DENIED, denial=reserving.NO_TERMS)
        if decision.verdict is not Verdict.ASK:
            return decision
        if self._is_left(request, decision.shortages):
            return QuotaDecision(verdict=Verdict.GRANTED, granted=request.quantities)
        return self._check(request, Reach.ANSWERED) or decision

    def usage_operation(
        self,
        events: Sequence[UsageEvent],
        *,
        block: bytes,
        receive_time_us: int,
        oldest_event_time_us: int,
        caller: str,
    ) -> Operation:
        """Returns what records usage without a reservation, and takes it from leases.

        Args:
            events: Good ones.
            block: The same, serialized: for the disk budget.
            receive_time_us: As in `Writer.append`.
            oldest_event_time_us: As in `Writer.append`.
            caller: As in `Writer.append`.
        """
        return Operation(
            run=lambda: usage.record(events, counter=self.counter),
            ticket=Ticket(),
            events=block,
            event_count=len(events),
            receive_time_us=receive_time_us,
            oldest_event_time_us=oldest_event_time_us,
            caller=caller,
        )

    def is_limited(self, events: Sequence[UsageEvent]) -> bool:
        """Tells whether any of the events is of a customer with limits."""
        book = self.counter.book
        if not book.is_used:
            return False
        return any(map(book.is_known, {event.customer_id for event in events}))

    def _decide(
        self,
        customer_id: str,
        decide: Callable[[int, Reach], Answer],
        *,
        timeout_seconds: float,
    ) -> Granted | Denied:
        clock = self.counter.book.clock
        end_us = clock.now_us() + round(timeout_seconds * _US_PER_SECOND)
        reach = self._asking.reach()
        attempt = 0
        for number in range(ASK_COUNT_MAX + 1):
            left_us = end_us - clock.now_us()
            if reach is Reach.ASKABLE and (number == ASK_COUNT_MAX or left_us < ASK_MARGIN_US):
                reach = Reach.ANSWERED
            answer = decide(attempt, reach)
            if not isinstance(answer, Question):
                return answer
            attempt += bool(answer.shortages)
            reach = self._asking.ask(
                customer_id, answer.shortages, timeout_seconds=left_us / _US_PER_SECOND
            )
        raise InvariantError(
            reason="QUOTA_UNDECIDED", message=f"quota of customer {customer_id!r} is undecided"
        )

    def _check(self, request: QuotaRequest, reach: Reach) -> QuotaDecision | None:
        return reserving.check(request, counter=self.counter, reach=reach)

    def _is_left(self, request: QuotaRequest, shortages: Sequence[Shortage]) -> bool:
        """Tells whether the server had what is short when it was heard last: it is advice."""
        terms = self.counter.book.terms_of(request.customer_id)
        for item in shortages:
            limit = None if terms is None else terms.limit(item.limit_key)
            if limit is None:
                continue
            if item.missing > limit.remaining or self._has_share(request.customer_id, limit):
                return False
        return True

    def _has_share(self, customer_id: str, limit: LimitTerms) -> bool:
        """Tells whether this agent has a share of a rate: then nothing but its bucket counts."""
        book = self.counter.book
        return any(
            lease.limit_key == limit.limit_key
            and lease.rate_per_minute > 0
            and lease.is_usable(book.clock.now_us())
            for lease in book.leases_of(customer_id)
        )

    def _run(
        self,
        change: Callable[[], tuple[Result, Recorded | None]],
        *,
        timeout_seconds: float,
        **fields: Any,
    ) -> Result:
        """Runs a change in the writer's thread and returns its result once it is durable."""
        results: list[Result] = []

        def run() -> Recorded | None:
            result, recorded = change()
            results[:] = [result]
            return recorded

        ticket = Ticket()
        self._writer.submit(Operation(run=run, ticket=ticket, **fields))
        ticket.wait(timeout_seconds)
        return results[0]
