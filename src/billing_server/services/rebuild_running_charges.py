"""Running charges made anew from the minute buckets, which are the truth.

Used after what prices a customer has changed, after a subscription was created for usage that came
before it, and when rating works again after it had failed.
"""

from datetime import timedelta

import structlog

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.period_usage import fold_period
from metering.errors import ConflictError, UnavailableError
from metering.period import Period

log = structlog.get_logger(__name__)


def rebuild_running_charges(unit: UnitOfWork, *, customer_id: str) -> None:
    """Rebuilds the running charges of all periods of a customer in which there is usage.

    The result is a function of the buckets and the terms alone. A subscription that cannot be rated
    is marked; one that can be again is no longer.

    Args:
        unit: a write transaction that holds the customer locked.
        customer_id: whose charges.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    span = unit.usage.usage_span(customer_id)
    if span is None and not unit.usage.rating_failed(customer_id):
        return
    terms = load_customer_terms(unit, customer_id=customer_id)
    known_failures = unit.usage.rating_failed(customer_id)
    for timeline in terms.timelines.values():
        subscription_id = timeline.subscription.id
        try:
            with unit.usage.savepoint():
                unit.usage.delete_charges(subscription_id, customer_id=customer_id)
                if span is not None:
                    end = span[1] + timedelta(minutes=1)
                    for period in timeline.periods_between(start=span[0], end=end):
                        rebuild_period(unit, terms=terms, timeline=timeline, period=period)
            reason = None
        except (ConflictError, UnavailableError):
            raise
        except Exception as error:
            # A rating error never undoes what was counted, nor another subscription's charges.
            log.exception("rating_failed", subscription_id=subscription_id)
            reason = f"{type(error).__name__}: {error}"
        if reason != known_failures.get(subscription_id):
            unit.usage.set_rating_failed(subscription_id, reason=reason)
            unit.customers.advance_revision(customer_id)


def rebuild_period(
    unit: UnitOfWork, *, terms: CustomerTerms, timeline: Timeline, period: Period
) -> None:
    """Rebuilds the running charges of one period of a subscription.

    Args:
        unit: a write transaction that holds the customer locked.
        terms: of the customer.
        timeline: the subscription.
        period: one of the timeline's.
    """
    subscription_id = timeline.subscription.id
    usage = fold_period(unit, terms=terms, subscription_id=subscription_id, period=period)
    unit.usage.delete_charges(
        subscription_id, customer_id=terms.customer.id, period_start=period.start
    )
    unit.usage.put_charges(usage.charge_rows())
    unit.usage.add_charge_values(usage.charge_values())
