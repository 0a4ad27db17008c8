"""Creating and updating customers."""

from dataclasses import replace
from enum import Enum

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer
from billing_server.services.context import ServiceContext
from billing_server.services.watch_quarantine import redrive_promptly
from metering.errors import AlreadyExistsError, InvalidStateError


class CustomerChange(Enum):
    """What writing a customer comes to."""

    NONE = "none"
    CREATED = "created"
    UPDATED = "updated"


def create_customer(context: ServiceContext, *, customer: Customer) -> Customer:
    """Create a customer; the same customer again is no change.

    Raises:
        AlreadyExistsError: CUSTOMER_EXISTS, a customer of this id has other details.
    """
    with context.store.write() as unit:
        unit.catalog.lock()
        known = unit.customers.get(customer.id)
        if known is not None:
            customer = settled_customer(known, wanted=customer)
        if known is not None and known != customer:
            raise AlreadyExistsError(
                reason="CUSTOMER_EXISTS",
                message=f"customer {customer.id!r} exists with another "
                f"{', '.join(changed_fields(known, wanted=customer))}: apply a catalog file to "
                "change it",
            )
        put_customer(unit, context=context, customer=customer)
        unit.leases.announce_terms([customer.id])
    redrive_promptly(context.store, customer_id=customer.id)
    return customer


def put_customer(
    unit: UnitOfWork, *, context: ServiceContext, customer: Customer
) -> CustomerChange:
    """Write a customer, new or changed, inside a unit of work.

    Raises:
        InvalidStateError: CUSTOMER_CURRENCY_FIXED (R73), CUSTOMER_TIMEZONE_FIXED.
    """
    known = unit.customers.get(customer.id)
    now = context.clock.now()
    if known is None:
        unit.customers.add(customer, create_time=now)
        return CustomerChange.CREATED
    wanted = settled_customer(known, wanted=customer)
    if known == wanted:
        return CustomerChange.NONE
    check_customer_change(unit, known=known, wanted=wanted)
    unit.customers.update(wanted, update_time=now)
    return CustomerChange.UPDATED


def settled_customer(known: Customer, *, wanted: Customer) -> Customer:
    """Return the wanted customer with what it has been given meanwhile and does not name."""
    if wanted.currency is None:
        wanted = replace(wanted, currency=known.currency)
    return wanted if wanted.limits is not None else replace(wanted, limits=known.limits)


def changed_fields(known: Customer, *, wanted: Customer) -> list[str]:
    """Return the names of the fields in which two customers differ."""
    return [
        field for field in Customer.__slots__ if getattr(known, field) != getattr(wanted, field)
    ]


def check_customer_change(unit: UnitOfWork, *, known: Customer, wanted: Customer) -> None:
    """Refuse changes that would move periods or amounts that are there already.

    Raises:
        InvalidStateError: CUSTOMER_CURRENCY_FIXED (R73), CUSTOMER_TIMEZONE_FIXED.
    """
    has_subscriptions = bool(unit.subscriptions.of_customer(known.id))
    if known.currency != wanted.currency and (has_subscriptions or unit.invoices.has_any(known.id)):
        raise InvalidStateError(
            reason="CUSTOMER_CURRENCY_FIXED",
            message=f"customer {known.id!r}: currency stays {known.currency}: it is fixed by the "
            "first subscription or invoice (R73); make another customer for another currency",
        )
    if known.timezone != wanted.timezone and has_subscriptions:
        raise InvalidStateError(
            reason="CUSTOMER_TIMEZONE_FIXED",
            message=f"customer {known.id!r}: timezone stays {known.timezone}: the periods of its "
            "subscriptions are laid out in it, and this version does not move them",
        )
