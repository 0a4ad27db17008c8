"""Counting what agents push: every event exactly once, with its charge, in one transaction.

The unique key (event id, customer) is inserted in the transaction that counts the event. So a
retry, a lost answer, a message out of order or a second agent needs no special case: what was
counted is not counted again, and what is new is counted.

A push is applied in parts of at most 500 events, each its own transaction that advances the agent's
position, so that other work gets its turn. A part whose events are all new takes the fast path:
a handful of statements whatever the number of events. Any surprise undoes that part whole and it is
done again on the careful path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.ports.usage import EventRow
from billing_server.domain.session.pushing import PushState, decide_push
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.carried_customers import CarriedCustomers
from billing_server.services.charge_slot import AmountTooLargeError
from billing_server.services.ingest_carefully import count_carefully
from billing_server.services.ingest_tally import Tally
from billing_server.services.judge_event import unknown_customer, waiting_row
from billing_server.services.pushing_disk import advance_disk, lock_pushing_disk, part_of_push
from billing_server.services.rating_terms import TermsCache
from billing_server.services.usage_batch import UsageBatch
from billing_server.services.usage_payload import DecodedEvent, UsagePush, decode_push
from metering.clock import Clock
from metering.errors import ConflictError, InvariantError, UnavailableError

PART_EVENTS_MAX: Final = 500
"""Events of one transaction: it holds its locks for less than 50 ms."""

__all__ = ["PART_EVENTS_MAX", "PushOutcome", "PushState", "UsageIngester"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """The answer to a push."""

    state: PushState
    """What became of it."""
    applied_seq: int
    """Highest position applied from this agent. >= 0."""
    server_incarnation: str
    """Identity of the server's data."""
    tally: Tally
    """What became of the events."""


class _Path(Enum):
    """How the events of a part are counted; tried in this order."""

    FAST = "fast"
    CAREFUL = "careful"


class UsageIngester:
    """Applies pushes. One for the whole server: it keeps compiled terms. Safe for many threads."""

    def __init__(self, *, store: Store, clock: Clock, terms: TermsCache | None = None) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms or TermsCache()
        self._carried = CarriedCustomers()

    def push(self, agent: Agent, *, push: UsagePush) -> PushOutcome:
        """Applies a push of an agent, or says why it cannot.

        Raises:
            ValidationError: a block is malformed; nothing of the push is applied.
            ConflictError: DATABASE_BUSY; parts may be applied, a repeat is safe.
            UnavailableError: DISK_FULL and the like; parts may be applied, a repeat is safe.
        """
        events = decode_push(push, agent_ref=agent.ref)
        total = Tally()
        first = 0
        while True:
            part = events[first : first + PART_EVENTS_MAX]
            rest = events[first + len(part) :]
            outcome = self._apply_part(
                agent,
                push=part_of_push(push, rest=rest),
                events=part,
                pushed=events,
                first_seq=push.first_seq + first,
            )
            total = total + outcome.tally
            first += len(part)
            if outcome.state is not PushState.APPLIED or first >= len(events):
                return PushOutcome(
                    state=outcome.state,
                    applied_seq=outcome.applied_seq,
                    server_incarnation=outcome.server_incarnation,
                    tally=total,
                )

    def _apply_part(
        self,
        agent: Agent,
        *,
        push: UsagePush,
        events: list[DecodedEvent],
        pushed: list[DecodedEvent],
        first_seq: int,
    ) -> PushOutcome:
        for path in _Path:
            try:
                return self._transact(
                    agent,
                    push=push,
                    events=events,
                    pushed=pushed,
                    first_seq=first_seq,
                    path=path,
                )
            except _NotFast as signal:
                # Undone whole; once more, carefully.
                if signal.__cause__ is not None:
                    log.warning(
                        "ingest_fast_path_failed",
                        agent_id=agent.agent_id,
                        first_seq=first_seq,
                        exc_info=signal.__cause__,
                    )
        raise InvariantError(reason="INGEST_UNDECIDED", message="the careful path gave no answer")

    def _transact(
        self,
        agent: Agent,
        *,
        push: UsagePush,
        events: list[DecodedEvent],
        pushed: list[DecodedEvent],
        first_seq: int,
        path: _Path,
    ) -> PushOutcome:
        now = self._clock.now()
        with self._store.write() as unit:
            incarnation = unit.agents.incarnation()
            current = lock_pushing_disk(unit, agent=agent, push=push)
            decision = decide_push(
                server=(incarnation, 0 if current is None else current.session_no),
                named=(push.server_incarnation, push.session_no),
                applied_seq=0 if current is None else current.applied_seq,
                first_seq=first_seq,
                event_count=len(events),
            )
            if current is None or decision.state is not PushState.APPLIED:
                return PushOutcome(decision.state, decision.applied_seq, incarnation, Tally())
            batch = UsageBatch(now=now, disk_ref=current.ref)
            if path is _Path.CAREFUL or first_seq <= current.applied_seq:
                # Known positions: most of these events are stored already.
                tally = count_carefully(
                    unit, events=events, terms=self._terms, now=now, push=(current.ref, pushed)
                )
            else:
                tally = self._count_new(unit, events=events, batch=batch)
            advance_disk(
                unit,
                disk=current,
                push=push,
                applied_seq=decision.applied_seq,
                event_count=len(events),
                now=now,
            )
            carried = self._carried.note(unit, agent_ref=current.ref, events=events, now=now)
        batch.publish()
        self._carried.keep(carried)
        return PushOutcome(PushState.APPLIED, decision.applied_seq, incarnation, tally)

    def _count_new(
        self, unit: UnitOfWork, *, events: Sequence[DecodedEvent], batch: UsageBatch
    ) -> Tally:
        """Counts events that are expected to be new.

        Raises:
            _NotFast: one was there already, or anything else was not as expected; the transaction
                has to be undone.
        """
        try:
            return self._count_together(unit, events=events, batch=batch)
        except (ConflictError, UnavailableError, _NotFast):
            raise
        except AmountTooLargeError:
            # No surprise worth a trace: the careful path says which event it was.
            raise _NotFast from None
        except Exception as error:
            raise _NotFast from error

    def _count_together(
        self, unit: UnitOfWork, *, events: Sequence[DecodedEvent], batch: UsageBatch
    ) -> Tally:
        if not events:
            return Tally()
        catalog = self._terms.catalog(unit)
        revisions = unit.usage.lock_customers({event.row.customer_id for event in events})
        customers = self._terms.customers(unit, catalog=catalog, revisions=revisions)
        rows: list[EventRow] = []
        counted = 0
        for event in events:
            if event.row.quarantine_reason is not None:
                rows.append(event.row)
                continue
            customer = customers.get(event.row.customer_id)
            if customer is None:
                rows.append(waiting_row(event, unknown_customer(event)))
                continue
            effects = catalog.index.effects(event.quantities, dimensions=event.dimensions)
            if isinstance(effects, Quarantine):
                rows.append(waiting_row(event, effects))
                continue
            rows.append(event.row)
            batch.add(event, customer=customer, effects=effects)
            counted += 1
        if unit.usage.insert_events(rows) != len(rows):
            raise _NotFast
        batch.write(unit)
        return Tally(counted=counted, quarantined=len(rows) - counted)


class _NotFast(Exception):
    """The fast path does not do; its cause, if any, is what went wrong."""
