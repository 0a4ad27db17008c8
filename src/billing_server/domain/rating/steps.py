"""Rating steps as plain JSON values, the same on quotes and on invoices."""

from collections.abc import Iterable

from billing_server.domain.rating.price_model import RatingStep
from metering.quantity import plain_decimal


def steps_to_list(steps: Iterable[RatingStep]) -> list[dict[str, str | None]]:
    """Returns steps with exact plain decimals; a tier without end has `to` None."""
    return [
        {
            "from": plain_decimal(step.from_quantity),
            "to": None if step.to_quantity is None else plain_decimal(step.to_quantity),
            "quantity": plain_decimal(step.quantity),
            "unit_price": plain_decimal(step.unit_price),
            "flat_price": plain_decimal(step.flat_price),
            "amount": plain_decimal(step.amount),
        }
        for step in steps
    ]
