"""Readers and writers of a plan's billing period and anchor, and of what periods start at."""

from calendar import monthrange
from datetime import UTC, datetime
from typing import Final

from billing_server.domain.catalog.model import Anchor, AnchorMode, BillingPeriod
from billing_server.domain.document import MapNode, Node, Scalar, as_it_is
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    choice,
    instant,
    integer,
    not_a_choice,
)
from metering.clock import format_instant
from metering.period import PERIOD_EVERY_MAX, PeriodUnit

WEEKDAYS: Final = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
BILLING_INSTANT_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
BILLING_INSTANT_MAX: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of what periods are counted from. They lie far from the ends of the calendar, which no
period, grace or time zone may pass, and beyond them stands a mistyped year."""
_LEAP_YEAR: Final = 2000
DAY_MAX: Final = 31
MONTH_MAX: Final = 12
_MONTHLY: Final = {
    PeriodUnit.MONTH,
    PeriodUnit.QUARTER,
    PeriodUnit.HALF_YEAR,
    PeriodUnit.YEAR,
}


def billing_instant(node: Node) -> datetime:
    """Reads an instant from which billing periods are counted, in the years 2000 to 2199."""
    value = instant(node)
    if not BILLING_INSTANT_MIN <= value < BILLING_INSTANT_MAX:
        problem = (
            f"{format_instant(value)} lies outside the years {BILLING_INSTANT_MIN.year} to "
            f"{BILLING_INSTANT_MAX.year - 1}; correct the year"
        )
        raise FieldMistake("INSTANT_OUT_OF_RANGE", problem)
    return value


def read_billing_period(reader: FieldReader) -> BillingPeriod:
    """Reads `billing_period`: a unit, or {every: 2, unit: week}."""
    node = reader.maybe("billing_period", as_it_is)
    if not isinstance(node, MapNode):
        unit = reader.optional("billing_period", choice(PeriodUnit), default=PeriodUnit.MONTH)
        return BillingPeriod(unit)
    inner = FieldReader(node, path=reader.path_of("billing_period"), mistakes=reader.mistakes)
    unit = inner.required("unit", choice(PeriodUnit)) or PeriodUnit.MONTH
    every = inner.optional("every", integer(low=1, high=PERIOD_EVERY_MAX), default=1)
    inner.finish()
    return BillingPeriod(unit, every)


def read_anchor(reader: FieldReader, *, unit: PeriodUnit) -> Anchor:
    """Reads `anchor`: a word, a day, or {month: 4, day: 6}.

    A fixed day has to lie once in every period: a weekday in weeks, a day of the month in months
    and longer, a day of a month of the year in quarters and longer.
    """
    node = reader.maybe("anchor", as_it_is)
    if isinstance(node, MapNode):
        anchor = _read_month_day(reader, node)
    else:
        anchor = reader.optional("anchor", _anchor, default=Anchor())
    fits = {
        AnchorMode.DAY: unit in _MONTHLY,
        AnchorMode.WEEKDAY: unit is PeriodUnit.WEEK,
        AnchorMode.MONTH_DAY: unit in _MONTHLY - {PeriodUnit.MONTH},
    }
    if not fits.get(anchor.mode, True):
        problem = (
            f"this anchor does not go with billing_period {unit}: a day of the month needs month, "
            "quarter, half_year or year; a weekday needs week; a month and day need quarter, "
            "half_year or year"
        )
        reader.note("anchor", reason="ANCHOR_MISMATCH", problem=problem)
    return anchor


def anchor_to_plain(anchor: Anchor) -> object:
    """Returns an anchor as a catalog file writes it."""
    match anchor.mode:
        case AnchorMode.DAY:
            return anchor.day
        case AnchorMode.WEEKDAY:
            return WEEKDAYS[anchor.day - 1]
        case AnchorMode.MONTH_DAY:
            return {"month": anchor.month, "day": anchor.day}
        case _:
            return str(anchor.mode)


def _read_month_day(reader: FieldReader, node: MapNode) -> Anchor:
    inner = FieldReader(node, path=reader.path_of("anchor"), mistakes=reader.mistakes)
    month = inner.required("month", integer(low=1, high=MONTH_MAX))
    day = inner.required("day", integer(low=1, high=DAY_MAX))
    inner.finish()
    if month is None or day is None:
        return Anchor()
    longest = monthrange(_LEAP_YEAR, month)[1]
    if day > longest:
        problem = f"month {month} has {longest} days at most; write a day up to that"
        inner.note("day", reason="ANCHOR_UNKNOWN", problem=problem)
    return Anchor(AnchorMode.MONTH_DAY, day=day, month=month)


def _anchor(node: Node) -> Anchor:
    word = node.text if isinstance(node, Scalar) else ""
    if word.isdecimal():
        return Anchor(AnchorMode.DAY, day=integer(low=1, high=DAY_MAX)(node))
    if word in WEEKDAYS:
        return Anchor(AnchorMode.WEEKDAY, day=WEEKDAYS.index(word) + 1)
    if word in {AnchorMode.ANNIVERSARY, AnchorMode.CALENDAR}:
        return Anchor(AnchorMode(word))
    known = [AnchorMode.ANNIVERSARY.value, AnchorMode.CALENDAR.value, "1..31", *WEEKDAYS]
    raise not_a_choice(word, known=known, later={}, reason="ANCHOR_UNKNOWN")
