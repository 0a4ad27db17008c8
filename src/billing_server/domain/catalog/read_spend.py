"""Readers of what a plan asks of a whole period: minimum spend, commitment, thresholds."""

from decimal import Decimal
from itertools import pairwise

from billing_server.domain.catalog.model import Commitment, Plan, Thresholds
from billing_server.domain.document import MapNode, Node, as_it_is
from billing_server.domain.fields import FieldMistake, FieldReader, price
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.rates import rate_fraction
from metering.quantity import plain_decimal


def read_commitment(reader: FieldReader) -> Commitment | None:
    """Reads `commitment`: {amount, overage_discount}; None where there is none."""
    inner = reader.child("commitment")
    if inner is None:
        return None
    amount = inner.required("amount", _above_zero)
    discount = inner.optional("overage_discount", rate_fraction, default=ZERO)
    inner.finish()
    return None if amount is None else Commitment(amount=amount, overage_discount=discount)


def read_thresholds(reader: FieldReader) -> Thresholds | None:
    """Reads `thresholds`: a list of amounts, or {every: amount}; None where there are none."""
    node = reader.maybe("thresholds", as_it_is)
    if node is None:
        return None
    if isinstance(node, MapNode):
        inner = FieldReader(node, path=reader.path_of("thresholds"), mistakes=reader.mistakes)
        every = inner.required("every", _above_zero)
        inner.finish()
        return None if every is None else Thresholds(every=every)
    steps = tuple(reader.values("thresholds", _above_zero))
    if any(low >= high for low, high in pairwise(steps)):
        problem = "each amount has to be above the one before it"
        reader.note("thresholds", reason="THRESHOLDS_NOT_ASCENDING", problem=problem)
    return Thresholds(steps=steps)


def spend_to_dict(plan: Plan) -> dict[str, object]:
    """Returns minimum spend, commitment and thresholds of a plan; what it lacks is left out."""
    fields: dict[str, object] = {}
    if plan.minimum_spend is not None:
        fields["minimum_spend"] = plain_decimal(plan.minimum_spend)
    if plan.commitment is not None:
        fields["commitment"] = {
            "amount": plain_decimal(plan.commitment.amount),
            "overage_discount": plain_decimal(plan.commitment.overage_discount),
        }
    if plan.thresholds is not None:
        fields["thresholds"] = _thresholds_to_plain(plan.thresholds)
    return fields


def _thresholds_to_plain(thresholds: Thresholds) -> object:
    if thresholds.every is not None:
        return {"every": plain_decimal(thresholds.every)}
    return [plain_decimal(step) for step in thresholds.steps]


def _above_zero(node: Node) -> Decimal:
    value = price(node)
    if value == 0:
        raise FieldMistake("AMOUNT_ZERO", "0 asks for nothing; write an amount, or leave it out")
    return value
