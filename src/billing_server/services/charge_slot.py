"""One running charge: where it is kept, how it is rated, and the row that it becomes."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.rating.usage import UsageTerms
from billing_server.domain.usage.aggregate import AggregateState, quantity_of
from metering.errors import InvariantError
from metering.money import Exact, round_to_minor
from metering.quantity import plain_decimal

AMOUNT_MINOR_MAX: Final = 10**15
"""Largest amount of one price in one period, in minor units: thousands of such lines still add up
to an invoice of 64 bits."""


class AmountTooLargeError(InvariantError):
    """A charge would come to more than an invoice can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class ChargeSlot:
    """One running charge: where it is kept and how it is rated. Compared by identity."""

    key: ChargeKey
    """The row."""
    terms: UsageTerms
    """The compiled price."""
    meter: Meter
    """What is priced."""
    currency_digits: int
    """Of the plan's currency."""


@dataclass(frozen=True, slots=True)
class ChargeChange:
    """What a batch of events did to a running charge."""

    slot: ChargeSlot
    """Which charge."""
    before: ChargeRow | None
    """As it was; None: there was none."""
    after: ChargeRow
    """As it is."""


def charge_row(slot: ChargeSlot, state: AggregateState) -> ChargeRow:
    """Returns a running charge, rated and rounded.

    Raises:
        AmountTooLargeError: AMOUNT_TOO_LARGE.
    """
    amount = slot.terms.rate(quantity_of(slot.meter, state))
    amount_minor = round_to_minor(amount, digits=slot.currency_digits)
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise AmountTooLargeError(
            reason="AMOUNT_TOO_LARGE",
            message=f"price {slot.key.price_key!r} comes to {amount}, which no invoice can hold",
        )
    return ChargeRow(slot.key, state.value, _stored_amount(amount), amount_minor, *state[1:])


def state_of_row(row: ChargeRow | None) -> AggregateState | None:
    """Returns the state that a running charge keeps; None where there is none."""
    if row is None:
        return None
    return AggregateState(row.quantity, row.value_count, row.last_time_us, row.last_event_id)


def _stored_amount(amount: Exact) -> Decimal:
    """Returns the amount as it is shown; the rounded one is made from the exact value."""
    return amount if isinstance(amount, Decimal) else Decimal(plain_decimal(amount))
