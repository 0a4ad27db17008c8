"""The period and proration kinds of quotes: laid-out periods and shares of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing_server.domain.fields import (
    FieldReader,
    choice,
    currency,
    instant,
    integer,
    present,
    price,
    timezone,
)
from billing_server.domain.quote_price import QUOTE_INVALID
from metering.clock import format_instant
from metering.money import Exact, Money, RatedAmount, round_line
from metering.period import (
    PERIOD_COUNT_MAX,
    PERIOD_EVERY_MAX,
    BillingCycle,
    Period,
    PeriodUnit,
    billing_day_cycle,
)
from metering.proration import ProrationUnit, prorate, prorate_change, proration_share

DAY_MAX: Final = 31


def quote_period(request: FieldReader) -> dict[str, object]:
    """Lays out billing periods: `count` of them from `start`, or the one that holds `at`.

    Raises:
        ValidationError: with every mistake of the request.
    """
    fields = request.required_child("period")
    request.finish()
    anchor, start = fields.maybe("anchor", instant), fields.maybe("start", instant)
    at = fields.maybe("at", instant)
    count = fields.maybe("count", integer(low=1, high=PERIOD_COUNT_MAX))
    cycle = _read_cycle(fields, first=anchor or start or at)
    if fields.has("at") == fields.has("count"):
        problem = "write either count, for periods from the start, or at, for the one that holds it"
        fields.note("count", reason="FIELD_MISSING", problem=problem)
    if not (fields.has("start") or fields.has("anchor")) and at is None:
        problem = "write the start of the first period, or the anchor that periods count from"
        fields.note("start", reason="FIELD_MISSING", problem=problem)
    fields.finish()
    request.mistakes.raise_if_any(reason=QUOTE_INVALID)
    cycle = present(cycle)
    if at is not None:
        periods = [cycle.period_at(at, start=start)]
    else:
        periods = cycle.periods(start or cycle.anchor, count=count or 1)
    return {"periods": [_period(period) for period in periods]}


def _read_cycle(fields: FieldReader, *, first: datetime | None) -> BillingCycle | None:
    """Reads the grid; `first` is the instant that its count begins with."""
    unit = fields.optional("unit", choice(PeriodUnit), default=PeriodUnit.MONTH)
    every = fields.optional("every", integer(low=1, high=PERIOD_EVERY_MAX), default=1)
    zone = fields.optional("timezone", timezone, default="UTC")
    day = fields.maybe("billing_day", integer(low=1, high=DAY_MAX))
    if first is None:
        return None
    if day is None:
        return BillingCycle(anchor=first, unit=unit, every=every, timezone=zone)
    if unit in {PeriodUnit.DAY, PeriodUnit.WEEK}:
        problem = f"a day of the month does not go with unit {unit}; leave billing_day out"
        fields.note("billing_day", reason="ANCHOR_MISMATCH", problem=problem)
        return None
    return billing_day_cycle(day=day, unit=unit, every=every, timezone=zone, at=first)


def quote_proration(request: FieldReader) -> dict[str, object]:
    """Prices a span of a period, or a change of amount in its middle.

    Raises:
        ValidationError: with every mistake of the request.
    """
    fields = request.required_child("proration")
    request.finish()
    whole = _read_whole(fields.required_child("period"))
    unit = fields.optional("unit", choice(ProrationUnit), default=ProrationUnit.SECOND)
    zone = fields.optional("timezone", timezone, default="UTC")
    code = fields.required("currency", currency)
    terms = _Terms(whole, unit, zone, code)
    if fields.has("change"):
        return _quote_change(fields, terms)
    return _quote_span(fields, terms)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What both forms of a proration say."""

    whole: Period | None
    unit: ProrationUnit
    timezone: str
    currency: str | None

    def rounded(self, amount: Exact) -> Money:
        return round_line(RatedAmount(amount, present(self.currency)))


def _quote_span(fields: FieldReader, terms: _Terms) -> dict[str, object]:
    start, end = fields.required("from", instant), fields.required("to", instant)
    amount = fields.required("amount", price)
    fields.finish()
    fields.mistakes.raise_if_any(reason=QUOTE_INVALID)
    share = proration_share(
        whole=present(terms.whole),
        start=present(start),
        end=present(end),
        unit=terms.unit,
        timezone=terms.timezone,
    )
    return {
        "fraction": f"{share.numerator}/{share.denominator}",
        "amount": terms.rounded(prorate(present(amount), share=share)).decimal_string(),
    }


def _quote_change(fields: FieldReader, terms: _Terms) -> dict[str, object]:
    change = fields.required_child("change")
    at = change.required("at", instant)
    old_amount = change.required("old_amount", price)
    new_amount = change.required("new_amount", price)
    change.finish()
    fields.finish()
    fields.mistakes.raise_if_any(reason=QUOTE_INVALID)
    result = prorate_change(
        whole=present(terms.whole),
        at=present(at),
        old_amount=present(old_amount),
        new_amount=present(new_amount),
        unit=terms.unit,
        timezone=terms.timezone,
    )
    credit, charge = terms.rounded(result.credit), terms.rounded(result.charge)
    # The net is the sum of the two lines that an invoice would show (R45).
    return {
        "credit": credit.decimal_string(),
        "charge": charge.decimal_string(),
        "net": (credit + charge).decimal_string(),
    }


def _read_whole(reader: FieldReader) -> Period | None:
    start, end = reader.required("start", instant), reader.required("end", instant)
    reader.finish()
    if start is None or end is None:
        return None
    if start >= end:
        reader.note("end", reason="PERIOD_EMPTY", problem="the end has to be after the start")
        return None
    return Period(start, end)


def _period(period: Period) -> dict[str, str]:
    return {"start": format_instant(period.start), "end": format_instant(period.end)}
