"""Counting events that waited, once their customer or meter is there (R20)."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.ports.usage import EventKey, EventRow
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.charge_slot import AmountTooLargeError
from billing_server.services.judge_event import (
    AMOUNT_TOO_LARGE,
    INTERNAL_ERROR,
    detail_of,
    unknown_customer,
)
from billing_server.services.malformed_event import MALFORMED_REASONS
from billing_server.services.rating_terms import CatalogTerms, CompiledCustomer, TermsCache
from billing_server.services.usage_batch import UsageBatch
from billing_server.services.usage_payload import decode_row
from billing_server.services.waiting_events import taken_meanwhile
from metering.errors import ConflictError, UnavailableError

REDRIVE_EVENTS_MAX: Final = 500
"""Events of one transaction."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a re-drive came to."""

    counted: int = 0
    """Events that waited and are counted now. >= 0."""
    waiting: int = 0
    """Events that were looked at and go on waiting. >= 0."""

    def __add__(self, other: "Redriven") -> "Redriven":
        return Redriven(self.counted + other.counted, self.waiting + other.waiting)


def redrive_quarantine(store: Store, *, customer_id: str | None = None) -> Redriven:
    """Counts every waiting event whose reason has gone, exactly once.

    Works through the events in batches, each its own transaction, in which an event's reason is
    taken away together with counting it.

    Args:
        store: opens the transactions; none may be open.
        customer_id: only events of this customer; None: all.
    """
    terms = TermsCache()
    total = Redriven()
    after: EventKey | None = None
    while True:
        with store.write() as unit:
            rows = unit.usage.quarantined(
                customer_id=customer_id, after=after, limit=REDRIVE_EVENTS_MAX
            )
            total += redrive_events(unit, rows=rows, terms=terms)
        if len(rows) < REDRIVE_EVENTS_MAX:
            return total
        after = rows[-1].event_id, rows[-1].customer_id


def redrive_events(unit: UnitOfWork, *, rows: Sequence[EventRow], terms: TermsCache) -> Redriven:
    """Counts those of some stored events that wait and whose reason has gone.

    Raises:
        ConflictError: EVENT_TAKEN_MEANWHILE: one was discarded just now; a repeat is safe.
    """
    if not rows:
        return Redriven()
    catalog = terms.catalog(unit)
    revisions = unit.usage.lock_customers({row.customer_id for row in rows})
    customers = terms.customers(unit, catalog=catalog, revisions=revisions)
    # Read again under the lock: another server may have counted some of them meanwhile.
    current = unit.usage.stored_events([(row.event_id, row.customer_id) for row in rows])
    waiting = [row for row in current.values() if row.is_waiting]
    tried = [row for row in waiting if row.quarantine_reason not in MALFORMED_REASONS]
    redriven = _redrive_rows(unit, rows=tried, customers=customers, catalog=catalog)
    return redriven + Redriven(waiting=len(waiting) - len(tried))


def _redrive_rows(
    unit: UnitOfWork,
    *,
    rows: Sequence[EventRow],
    customers: Mapping[str, CompiledCustomer],
    catalog: CatalogTerms,
) -> Redriven:
    """Counts events together; where that fails, each half by itself, down to one event."""
    if not rows:
        return Redriven()
    try:
        return _redrive_group(unit, rows=rows, customers=customers, catalog=catalog)
    except (ConflictError, UnavailableError):
        raise
    except AmountTooLargeError:
        if len(rows) == 1:
            _keep_waiting(unit, row=rows[0], why=AMOUNT_TOO_LARGE)
            return Redriven(waiting=1)
    except Exception:
        if len(rows) == 1:
            log.exception("redrive_failed", customer_id=rows[0].customer_id)
            why = Quarantine(INTERNAL_ERROR, traceback.format_exc())
            _keep_waiting(unit, row=rows[0], why=why)
            return Redriven(waiting=1)
    middle = len(rows) // 2
    return sum(
        (
            _redrive_rows(unit, rows=half, customers=customers, catalog=catalog)
            for half in (rows[:middle], rows[middle:])
        ),
        Redriven(),
    )


def _redrive_group(
    unit: UnitOfWork,
    *,
    rows: Sequence[EventRow],
    customers: Mapping[str, CompiledCustomer],
    catalog: CatalogTerms,
) -> Redriven:
    batch = UsageBatch()
    counted: list[EventKey] = []
    with unit.usage.savepoint():
        for row in rows:
            event = decode_row(row)
            customer = customers.get(row.customer_id)
            if customer is None:
                _keep_waiting(unit, row=row, why=unknown_customer(event))
                continue
            effects = catalog.index.effects(event.quantities, dimensions=event.dimensions)
            if isinstance(effects, Quarantine):
                _keep_waiting(unit, row=row, why=effects)
                continue
            batch.add(event, customer=customer, effects=effects)
            counted.append((row.event_id, row.customer_id))
        too_large = batch.too_large(unit)
        if too_large is not None:
            if len(rows) > 1:
                raise OverflowError(too_large.reason)
            _keep_waiting(unit, row=rows[0], why=too_large)
            return Redriven(waiting=1)
        if unit.usage.set_quarantine(counted, reason=None, detail=None) != len(counted):
            # Nothing locks a customer that was unknown when somebody began to discard its events.
            raise taken_meanwhile()
        batch.write(unit)
    return Redriven(counted=len(counted), waiting=len(rows) - len(counted))


def _keep_waiting(unit: UnitOfWork, *, row: EventRow, why: Quarantine) -> None:
    """Writes the reason for which an event goes on waiting, where it is another one."""
    if row.quarantine_reason != why.reason:
        unit.usage.set_quarantine(
            [(row.event_id, row.customer_id)],
            reason=why.reason,
            detail=detail_of(why),
        )
