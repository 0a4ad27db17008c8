"""Rating steps as plain JSON values, the same on quotes and on invoices."""

from collections.abc import Iterable

from billing_server.domain.rating.price_model import RatingStep, StepKind
from metering.quantity import plain_decimal


def steps_to_list(steps: Iterable[RatingStep]) -> list[dict[str, str | None]]:
    """Returns steps with exact plain decimals; a tier without end has `to` None.

    A step that is not the plain part of a quantity says what it is in `kind`.
    """
    return [_step_to_dict(step) for step in steps]


def _step_to_dict(step: RatingStep) -> dict[str, str | None]:
    kind = {} if step.kind is StepKind.TIER else {"kind": str(step.kind)}
    return kind | {
        "from": plain_decimal(step.from_quantity),
        "to": None if step.to_quantity is None else plain_decimal(step.to_quantity),
        "quantity": plain_decimal(step.quantity),
        "unit_price": plain_decimal(step.unit_price),
        "flat_price": plain_decimal(step.flat_price),
        "amount": plain_decimal(step.amount),
    }
