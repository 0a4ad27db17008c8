"""Alerts of usage without a price: listed, and closed once such usage would be priced (R32).

Counting raises them, in the transaction that counts the usage. What closes one is the same question
that rating asks: which price would charge this meter with these dimensions now?
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from billing_server.domain.ports.alerts import (
    FIRST_ALERT,
    AlertKey,
    AlertState,
    UnpricedAlert,
)
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.meter_uses import load_meter_uses
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import ConflictError, UnavailableError, ValidationError

BATCH: Final = 500
"""Alerts looked at in one transaction."""
LOOK_SECONDS: Final = 60.0
"""How often open alerts are looked at where the catalog stays as it is: a price may begin by
itself, at the instant from which it charges."""

log = structlog.get_logger(__name__)


def list_alerts(
    context: ServiceContext,
    *,
    page: PageRequest,
    customer_id: str | None = None,
    state: AlertState | None = None,
) -> Page[UnpricedAlert]:
    """List alerts in the order in which they were raised.

    Args:
        context: the world.
        page: which page.
        customer_id: only those of one customer; None: all.
        state: only open or only closed ones; None: both.
    """
    with context.store.read() as unit:
        found = unit.alerts.page(
            customer_id=customer_id,
            state=state,
            after=_number_of(page.after),
            limit=page.limit + 1,
        )
    return page_from(found, request=page, key=lambda alert: str(alert.alert_id))


def close_priced_alerts(
    context: ServiceContext,
    *,
    customer_id: str | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Close the alerts whose usage a price would charge now; returns how many were.

    It goes from customer to customer, so that the terms of each are read once and not once a batch.

    Args:
        context: the world; none of its units may be open.
        customer_id: only those of one customer; None: all.
        should_stop: asked before each batch; the next look finds what is left.
    """
    closed_count, after = 0, FIRST_ALERT
    while not should_stop():
        now = context.clock.now()
        with context.store.read() as unit:
            alerts = unit.alerts.open_by_customer(customer_id=customer_id, after=after, limit=BATCH)
            priced = _priced(unit, alerts=alerts, context=context)
        if priced:
            with context.store.write() as unit:
                unit.alerts.close(priced, close_time=now)
            log.info("unpriced_alerts_closed", count=len(priced))
        closed_count += len(priced)
        if len(alerts) < BATCH:
            break
        after = AlertKey(alerts[-1].customer_id, alerts[-1].alert_id)
    return closed_count


def close_alerts_promptly(context: ServiceContext, *, customer_id: str | None = None) -> None:
    """Close what a change has priced, or leave it to the scheduler's next look.

    The change is committed: a busy database here must not tell the caller otherwise.
    """
    try:
        close_priced_alerts(context, customer_id=customer_id)
    except (ConflictError, UnavailableError) as error:
        log.warning("closing_alerts_put_off", reason=error.reason)


class AlertWatch:
    """Looks for alerts that can be closed. Used by one thread; a look too early is one query."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._revision: int | None = None
        self._looked_at = 0.0

    def look(self, *, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Close what is priced by now, if the catalog changed or the last look is a minute old."""
        with self._context.store.read() as unit:
            revision = unit.catalog.revision()
        seconds = self._context.wall_clock.monotonic()
        if revision == self._revision and seconds - self._looked_at < LOOK_SECONDS:
            return 0
        closed_count = close_priced_alerts(self._context, should_stop=should_stop)
        self._revision, self._looked_at = revision, seconds
        return closed_count


def _priced(
    unit: UnitOfWork, *, alerts: Sequence[UnpricedAlert], context: ServiceContext
) -> list[int]:
    """Return the numbers of the alerts whose usage would be charged now, or is limited alone."""
    if not alerts:
        return []
    by_customer: dict[str, list[UnpricedAlert]] = defaultdict(list)
    for alert in alerts:
        by_customer[alert.customer_id].append(alert)
    now, uses = context.clock.now(), load_meter_uses(unit)
    priced: list[int] = []
    for customer_id, members in by_customer.items():
        terms = load_customer_terms(unit, customer_id=customer_id)
        assigner = terms.assigner
        priced += [
            alert.alert_id
            for alert in members
            if assigner.assign(alert.meter_key, dimensions=alert.dimensions, at=now).is_priced
            or uses.is_for_limits_alone(alert.meter_key, customer=terms.customer)
        ]
    return priced


def _number_of(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isdecimal():
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that a list has given; start again without it",
        )
    return int(after)
