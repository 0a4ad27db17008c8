"""A customer's prepaid balance: money put in and taken out, each entry once."""

from dataclasses import dataclass
from decimal import Decimal

from billing_server.domain.ports.limits import BalanceEntry
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer
from billing_server.services.audit import note_action
from billing_server.services.context import ServiceContext
from billing_server.services.limit_views import limits_of
from billing_server.services.not_found import customer_not_found
from metering.errors import AlreadyExistsError, InvalidStateError, ValidationError
from metering.limits import MONEY_DECIMALS
from metering.money import parse_price
from metering.quantity import plain_decimal

ENTRY_MICROS_MAX = 10**15
"""Largest entry: a thousand million in major units."""
ID_BYTES_MAX = 128
NOTE_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class PrepaidBalance:
    """What was put into a balance, and what is left of it where a limit counts its use."""

    customer_id: str
    """Whose."""
    currency: str | None
    """ISO 4217 code."""
    amount: Decimal
    """Put in and not taken out, in major units."""
    used: Decimal | None
    """Of that, what a limit on the balance has counted; None: there is no such limit."""
    left: Decimal | None
    """What may still be granted: use, shares of agents and what is presumed used taken off. >= 0.
    None: as above."""


def add_to_balance(
    context: ServiceContext,
    *,
    customer_id: str,
    entry_id: str,
    amount: str,
    note: str,
    actor: str,
) -> PrepaidBalance:
    """Put money into a customer's balance, or take it out; the same entry again is no change.

    Args:
        context: the world.
        customer_id: whose.
        entry_id: made by the caller, such as the id of a payment; 1..128 bytes.
        amount: in major units, with a minus sign where it is taken out, e.g. "25.00".
        note: for people.
        actor: who does it.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
        AlreadyExistsError: BALANCE_ENTRY_EXISTS, the id stands for something else.
        InvalidStateError: CUSTOMER_CURRENCY_MISSING.
        ValidationError: BALANCE_ENTRY_MALFORMED.
    """
    entry = BalanceEntry(
        entry_id=_entry_id(entry_id),
        customer_id=customer_id,
        amount=_micros(amount),
        note=note[:NOTE_LENGTH_MAX],
        create_time=context.clock.now(),
    )
    with context.store.write() as unit:
        unit.customers.lock([customer_id])
        customer = unit.customers.get(customer_id)
        if customer is None:
            raise customer_not_found(customer_id)
        if customer.currency is None:
            raise InvalidStateError(
                reason="CUSTOMER_CURRENCY_MISSING",
                message=f"customer {customer_id!r} has no currency yet: give it one, or a "
                "subscription, before money",
            )
        if unit.limits.add_balance(entry):
            unit.leases.announce([customer_id])
            note_action(
                unit,
                context=context,
                actor=actor,
                action="balance.add",
                subject=customer_id,
                detail={"entry": entry_id, "amount": amount, "note": note[:NOTE_LENGTH_MAX]},
            )
        elif not _is_same(unit.limits.balance_entry(entry_id), entry=entry):
            raise AlreadyExistsError(
                reason="BALANCE_ENTRY_EXISTS",
                message=f"entry {entry_id!r} is there with another amount or for another "
                "customer; give this one an id of its own",
            )
        return _balance(unit, context=context, customer=customer)


def show_balance(context: ServiceContext, *, customer_id: str) -> PrepaidBalance:
    """Show what was put into a customer's balance, and what is left of it.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        customer = unit.customers.get(customer_id)
        if customer is None:
            raise customer_not_found(customer_id)
        return _balance(unit, context=context, customer=customer)


def _balance(unit: UnitOfWork, *, context: ServiceContext, customer: Customer) -> PrepaidBalance:
    counting = [
        view
        for view in limits_of(unit, context=context, customer_id=customer.id)
        if view.limit.is_balance
    ]
    # Where several limits spend one balance, the scarcest is what a call meets.
    scarcest = min(counting, key=lambda view: view.left, default=None)
    return PrepaidBalance(
        customer.id,
        customer.currency,
        amount=_major(unit.limits.balance(customer.id) or 0),
        used=None if scarcest is None else _major(scarcest.escrow.settled),
        left=None if scarcest is None else _major(scarcest.left),
    )


def _is_same(known: BalanceEntry | None, *, entry: BalanceEntry) -> bool:
    return known is not None and (known.customer_id, known.amount) == (
        entry.customer_id,
        entry.amount,
    )


def _entry_id(entry_id: str) -> str:
    if not 1 <= len(entry_id.encode()) <= ID_BYTES_MAX or not entry_id.isprintable():
        raise ValidationError(
            reason="BALANCE_ENTRY_MALFORMED",
            message=f"id: an entry has an id of 1 to {ID_BYTES_MAX} printable bytes, made by the "
            "caller, so that a repeat is not entered twice",
        )
    return entry_id


def _micros(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    amount = parse_price(text.removeprefix("-"))
    micros = amount.scaleb(MONEY_DECIMALS)
    if micros != micros.to_integral_value() or not 0 < micros <= ENTRY_MICROS_MAX:
        raise ValidationError(
            reason="BALANCE_ENTRY_MALFORMED",
            message=f"amount: {text} is not above 0 with at most {MONEY_DECIMALS} digits after "
            f"the point, up to {plain_decimal(_major(ENTRY_MICROS_MAX))}; write a minus sign to "
            "take money out",
        )
    return sign * int(micros)


def _major(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-MONEY_DECIMALS)
