"""Lines of fixed fees: for the subscription or for each unit of a quantity, and once."""

from decimal import Decimal

from billing_server.domain.catalog.model import Price, RecurringPrice
from billing_server.domain.invoice.fees import DueFee
from billing_server.domain.invoice.lines import ONE, BillingTerms, LineQuantities, make_line
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.rating.exact import multiply
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.usage import WHOLE
from metering.errors import InvariantError
from metering.money import Exact
from metering.proration import prorate


def fee_line(terms: BillingTerms, *, fee: DueFee) -> InvoiceLine:
    """Returns the line of a fixed fee, prorated where its service period is short (R8, R46)."""
    price, share = fee.price, fee.segment.share
    per_unit = price.per_unit if isinstance(price, RecurringPrice) else None
    quantity = ONE if per_unit is None else _units(terms, price=price, per_unit=per_unit)
    whole = multiply(price.amount, quantity)
    exact: Exact = whole if share == WHOLE else prorate(whole, share=share)
    return make_line(
        terms,
        price_key=price.key,
        segment=fee.segment,
        kind=LineKind.RECURRING if isinstance(price, RecurringPrice) else LineKind.ONE_TIME,
        description=price.name or price.key,
        quantities=LineQuantities(quantity, ZERO, quantity),
        unit=per_unit or "",
        exact=exact,
        proration=share,
    )


def _units(terms: BillingTerms, *, price: Price, per_unit: str) -> Decimal:
    subscription = terms.timeline.subscription
    quantity = subscription.quantities.get(per_unit)
    if quantity is None:
        raise InvariantError(
            reason="QUANTITY_MISSING",
            message=f"price {price.key!r} is for each of {per_unit}, and subscription "
            f"{subscription.id!r} has no quantity {per_unit!r}",
        )
    return quantity
