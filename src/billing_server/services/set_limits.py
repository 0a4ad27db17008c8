"""Setting and removing a customer's own limits: agents that are there hear of it at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.catalog.limit_rules import limit_problems
from billing_server.domain.catalog.read_limit import LIMITS_MAX, limit_to_dict
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer
from billing_server.services.audit import note_action
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_timeline
from billing_server.services.not_found import customer_not_found
from metering.errors import FieldViolation, NotFoundError, ValidationError


def set_limit(context: ServiceContext, *, customer_id: str, limit: Limit, actor: str) -> Customer:
    """Give a customer a limit of its own, or change it; the same again is no change.

    It stands in place of a plan's limit of the same key, and beside those of other keys.

    Args:
        context: the world.
        customer_id: whose.
        limit: with its key.
        actor: who does it.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
        ValidationError: LIMIT_INVALID, naming the field: its meter is unknown or cannot be shared
            out, or a price has no highest marginal price under a hard limit of money.
    """

    def change(unit: UnitOfWork, customer: Customer) -> tuple[Limit, ...]:
        others = [each for each in customer.limits or () if each.key != limit.key]
        limits = (*others, limit)
        _check(unit, customer=customer, limit=limit, count=len(limits), now=context.clock.now())
        return tuple(sorted(limits, key=lambda each: each.key))

    return _changed(
        context,
        customer_id=customer_id,
        change=change,
        actor=actor,
        action="limit.set",
        detail=limit_to_dict(limit),
    )


def remove_limit(context: ServiceContext, *, customer_id: str, key: str, actor: str) -> Customer:
    """Take a customer's own limit away; a plan's limit of the same key holds again.

    Args:
        context: the world.
        customer_id: whose.
        key: of the limit.
        actor: who does it.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND, LIMIT_NOT_FOUND.
    """

    def change(_: UnitOfWork, customer: Customer) -> tuple[Limit, ...]:
        kept = tuple(each for each in customer.limits or () if each.key != key)
        if len(kept) == len(customer.limits or ()):
            raise NotFoundError(
                reason="LIMIT_NOT_FOUND",
                message=f"customer {customer_id!r} has no limit {key!r} of its own; those of its "
                "plans are changed in the catalog",
            )
        return kept

    return _changed(
        context,
        customer_id=customer_id,
        change=change,
        actor=actor,
        action="limit.remove",
        detail={"key": key},
    )


def _changed(
    context: ServiceContext,
    *,
    customer_id: str,
    change: Callable[[UnitOfWork, Customer], tuple[Limit, ...]],
    actor: str,
    action: str,
    detail: dict[str, object],
) -> Customer:
    with context.store.write() as unit:
        unit.catalog.lock()
        unit.customers.lock([customer_id])
        customer = unit.customers.get(customer_id)
        if customer is None:
            raise customer_not_found(customer_id)
        changed = replace(customer, limits=change(unit, customer))
        if changed.limits == (customer.limits or ()):
            return customer
        unit.customers.update(changed, update_time=context.clock.now())
        unit.leases.announce_terms([customer_id])
        note_action(
            unit,
            context=context,
            actor=actor,
            action=action,
            subject=customer_id,
            detail=detail,
        )
    return changed


def _check(
    unit: UnitOfWork, *, customer: Customer, limit: Limit, count: int, now: datetime
) -> None:
    if count > LIMITS_MAX:
        raise ValidationError(
            reason="LIMIT_INVALID", message=f"a customer has at most {LIMITS_MAX} limits"
        )
    meters = {meter.key: meter for meter in unit.catalog.meters()}
    timelines = [
        load_timeline(unit, subscription=each, customer=customer)
        for each in unit.subscriptions.of_customer(customer.id)
    ]
    prices = [
        price
        for timeline in timelines
        for phase in timeline.phases_from(now)
        for price in phase.plan.usage_prices
    ]
    problems = limit_problems(limit, meters=meters, prices=prices)
    if problems:
        raise ValidationError(
            reason="LIMIT_INVALID",
            message="; ".join(f"{each.field}: {each.problem}" for each in problems),
            violations=[FieldViolation(each.field, each.problem, each.reason) for each in problems],
        )
