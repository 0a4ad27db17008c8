"""The price kind of quotes: what a quantity costs under one price, with the steps."""

from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.read import LATER_USAGE_PRICE, read_included
from billing_server.domain.fields import FieldReader, currency, present, quantity
from billing_server.domain.rating.models import read_price_model
from billing_server.domain.rating.steps import steps_to_list
from billing_server.domain.rating.usage import WHOLE, UsageTerms
from metering.money import Money, RatedAmount, round_line
from metering.quantity import plain_decimal

QUOTE_INVALID: Final = "QUOTE_INVALID"
_LATER: Final = {"events": "rating event by event"}


def quote_price(request: FieldReader) -> dict[str, object]:
    """Prices a quantity, or cumulative readings of one.

    Returns:
        `amount` (exact), `rounded`, `currency`, `steps`; for readings also `deltas`: what each adds
        to the rounded amount booked so far. The others then describe the last reading.

    Raises:
        ValidationError: with every mistake of the request.
    """
    code = request.required("currency", currency)
    terms = _read_terms(request.required_child("price"))
    readings = _read_quantities(request)
    request.finish(later=_LATER)
    request.mistakes.raise_if_any(reason=QUOTE_INVALID)
    code, terms = present(code), present(terms)
    rated = terms.explain(readings[-1])
    result: dict[str, object] = {
        "amount": plain_decimal(rated.amount_exact),
        "rounded": _rounded(terms, readings[-1], code).decimal_string(),
        "currency": code,
        "steps": steps_to_list(rated.steps),
    }
    if request.has("quantities"):
        result = {"deltas": _deltas(terms, readings, code)} | result
    return result


def _read_terms(reader: FieldReader) -> UsageTerms | None:
    included = read_included(reader)
    model = read_price_model(reader)
    if model is None:
        return None  # Which further fields belong here is not known without a model.
    reader.finish(later=LATER_USAGE_PRICE)
    return UsageTerms(model, included, WHOLE)


def _read_quantities(request: FieldReader) -> list[Decimal]:
    has_list, has_one = request.has("quantities"), request.has("quantity")
    if has_list == has_one:
        problem = (
            'write either quantity: "15000" or quantities: ["3", "7"], the cumulative readings'
        )
        request.note("quantity", reason="QUANTITY_MISSING", problem=problem)
        return []
    if has_one:
        value = request.maybe("quantity", quantity)
        return [] if value is None else [value]
    readings = request.values("quantities", quantity)
    if not readings:
        problem = "the list holds no reading; write at least one"
        request.note("quantities", reason="QUANTITY_MISSING", problem=problem)
    return readings


def _deltas(terms: UsageTerms, readings: list[Decimal], code: str) -> list[str]:
    """Returns the differences of the rounded amounts; a reading may fall below the last."""
    booked = Money.zero(code)
    deltas = []
    for reading in readings:
        now = _rounded(terms, reading, code)
        deltas.append((now - booked).decimal_string())
        booked = now
    return deltas


def _rounded(terms: UsageTerms, reading: Decimal, code: str) -> Money:
    return round_line(RatedAmount(terms.rate(reading), code))
