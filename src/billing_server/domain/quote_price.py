"""The price kind of quotes: what usage costs under one price, with the steps."""

from collections.abc import Hashable
from decimal import Decimal
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.catalog.read_price import read_usage_terms
from billing_server.domain.document import node_content
from billing_server.domain.fields import FieldReader, currency, present, quantity
from billing_server.domain.rating.graduated_percentage import GraduatedPercentage
from billing_server.domain.rating.percentage import Percentage
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.steps import steps_to_list
from billing_server.domain.rating.usage import RatedUsage, UsageTerms, usage_terms
from metering.money import Money, RatedAmount, exact_context, round_line
from metering.quantity import QUANTITY_FRACTION_DIGITS_MAX, plain_decimal

QUOTE_INVALID: Final = "QUOTE_INVALID"
_METER: Final = Meter(key="quantity", quantity="quantity", decimals=QUANTITY_FRACTION_DIGITS_MAX)
"""What a quoted quantity is of: the finest that there is."""
PRICES_KEPT_MAX: Final = 256
"""Compiled prices that are kept; some 4 KiB each."""
_BESIDE_THE_AMOUNT: Final = (
    "key",
    "kind",
    "name",
    "meter",
    "where",
    "group_by",
    "tax_category",
    "tax_behavior",
)
"""Fields of a price in a catalog that no amount depends on: it can be pasted as it stands."""
_HOW: Final = (
    'write one of quantity: "15000", quantities: ["3", "7"], the cumulative readings, and events: '
    '["10.00", "250.00"], the transactions of a percentage or dynamic price'
)


class KnownPrices:
    """Prices of a document without a mistake, compiled: most documents ask the same many times."""

    def __init__(self) -> None:
        self._compiled: dict[Hashable, UsageTerms] = {}

    def __len__(self) -> int:
        return len(self._compiled)

    def terms_of(self, request: FieldReader) -> UsageTerms | None:
        """Returns the compiled price of a request; None where it has a mistake, which is noted."""
        node = request.maybe("price", lambda found: found)
        content = None if node is None else node_content(node)
        known = self._compiled.get(content)
        if known is not None:
            return known
        count_before = request.mistakes.count
        terms = _read_terms(request.required_child("price"))
        if terms is not None and request.mistakes.count == count_before:
            if len(self._compiled) >= PRICES_KEPT_MAX:
                self._compiled.clear()
            self._compiled[content] = terms
        return terms


def quote_price(request: FieldReader, *, known: KnownPrices) -> dict[str, object]:
    """Prices a quantity, cumulative readings of one, or single events.

    Args:
        request: the fields.
        known: prices of the same document.

    Returns:
        `amount` (exact), `rounded`, `currency`, `steps`; for readings also `deltas`: what each adds
        to the rounded amount booked so far. The others then describe the last reading.

    Raises:
        ValidationError: with every mistake of the request.
    """
    code = request.required("currency", currency)
    terms = known.terms_of(request)
    form, values = _read_usage(request)
    if terms is not None:
        _check_form(request, form, terms)
    request.finish()
    request.mistakes.raise_if_any(reason=QUOTE_INVALID)
    code, terms = present(code), present(terms)
    rated = _explain(terms, form, values)
    result: dict[str, object] = {
        "amount": plain_decimal(rated.amount_exact),
        "rounded": _rounded(rated, code).decimal_string(),
        "currency": code,
        "steps": steps_to_list(rated.steps),
    }
    if form == "quantities":
        result = {"deltas": _deltas(terms, values, code)} | result
    return result


def _read_terms(reader: FieldReader) -> UsageTerms | None:
    for name in _BESIDE_THE_AMOUNT:
        reader.has(name)
    price = read_usage_terms(reader, key="quote", meter=_METER.key)
    return None if price is None else usage_terms(price, meter=_METER)


def _read_usage(request: FieldReader) -> tuple[str, list[Decimal]]:
    """Returns which of the three forms the usage has, and its values; none where it is wrong."""
    given = [form for form in ("quantity", "quantities", "events") if request.has(form)]
    if len(given) != 1:
        request.note("quantity", reason="QUANTITY_MISSING", problem=_HOW)
        return "", []
    (form,) = given
    if form == "quantity":
        value = request.maybe(form, quantity)
        return form, [] if value is None else [value]
    count_before = request.mistakes.count
    values = request.values(form, quantity)
    if not values and request.mistakes.count == count_before and form == "quantities":
        problem = "the list holds no reading; write at least one"
        request.note(form, reason="QUANTITY_MISSING", problem=problem)
    return form, values


def _check_form(request: FieldReader, form: str, terms: UsageTerms) -> None:
    """Notes usage in a form that the price cannot be rated by."""
    if terms.is_rated_by_event and form in {"quantity", "quantities"}:
        problem = (
            "this price looks at each transaction, so a total is not enough; write events: "
            '["10.00", "250.00"] in their order'
        )
        request.note(form, reason="EVENTS_MISSING", problem=problem)
    takes_events = terms.is_rated_by_event or isinstance(
        terms.model, Percentage | GraduatedPercentage
    )
    if form == "events" and not takes_events:
        problem = f'a {terms.model.name} price is rated by the total; write it as quantity: "15000"'
        request.note(form, reason="EVENTS_NOT_RATED", problem=problem)


def _explain(terms: UsageTerms, form: str, values: list[Decimal]) -> RatedUsage:
    if form != "events":
        return terms.explain(values[-1])
    if terms.is_rated_by_event:
        return terms.explain_events(EventUsage(value, value) for value in values)
    return terms.explain(_sum(values))


def _deltas(terms: UsageTerms, readings: list[Decimal], code: str) -> list[str]:
    """Returns the differences of the rounded amounts; a reading may fall below the last.

    The minimum is no part of what was booked before the last reading, which makes up for it (R34).
    """
    booked = Money.zero(code)
    deltas = []
    partial = terms.without_minimum()
    last = len(readings) - 1
    for position, reading in enumerate(readings):
        amount = (terms if position == last else partial).rate(reading)
        now = round_line(RatedAmount(amount, code))
        deltas.append((now - booked).decimal_string())
        booked = now
    return deltas


def _rounded(rated: RatedUsage, code: str) -> Money:
    return round_line(RatedAmount(rated.amount_exact, code))


def _sum(values: list[Decimal]) -> Decimal:
    with exact_context():
        return sum(values, start=Decimal(0))
