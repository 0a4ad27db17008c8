"""Billing periods and anchors of plans."""

import pytest

from billing_server.domain.catalog.model import Anchor, AnchorMode, BillingPeriod
from billing_server.domain.catalog.read_period import (
    anchor_to_plain,
    billing_instant,
    read_anchor,
    read_billing_period,
)
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from metering.clock import parse_instant
from metering.period import PeriodUnit


def reader(fields: dict[str, object]) -> FieldReader:
    return FieldReader(node_from_plain(fields), path="", mistakes=Mistakes("request"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, BillingPeriod(PeriodUnit.MONTH)),
        ("half_year", BillingPeriod(PeriodUnit.HALF_YEAR)),
        ({"every": 2, "unit": "week"}, BillingPeriod(PeriodUnit.WEEK, 2)),
        ({"unit": "day"}, BillingPeriod(PeriodUnit.DAY)),
    ],
)
def test_a_billing_period_is_a_unit_or_several(written: object, read: BillingPeriod) -> None:
    assert read_billing_period(reader({"billing_period": written})) == read


@pytest.mark.parametrize(
    "written", ["fortnight", {"every": 0, "unit": "week"}, {"every": 2}, ["month"], 7]
)
def test_a_wrong_billing_period_is_noted(written: object) -> None:
    fields = reader({"billing_period": written})
    read_billing_period(fields)
    assert fields.mistakes.count == 1


@pytest.mark.parametrize(
    ("written", "unit", "anchor"),
    [
        ("anniversary", PeriodUnit.MONTH, Anchor()),
        ("calendar", PeriodUnit.DAY, Anchor(AnchorMode.CALENDAR)),
        (31, PeriodUnit.MONTH, Anchor(AnchorMode.DAY, day=31)),
        (5, PeriodUnit.QUARTER, Anchor(AnchorMode.DAY, day=5)),
        ("monday", PeriodUnit.WEEK, Anchor(AnchorMode.WEEKDAY, day=1)),
        ("sunday", PeriodUnit.WEEK, Anchor(AnchorMode.WEEKDAY, day=7)),
        (
            {"month": 4, "day": 6},
            PeriodUnit.YEAR,
            Anchor(AnchorMode.MONTH_DAY, month=4, day=6),
        ),
    ],
)
def test_r9_every_anchor_is_read_and_written_back(
    written: object, unit: PeriodUnit, anchor: Anchor
) -> None:
    fields = reader({"anchor": written})
    assert read_anchor(fields, unit=unit) == anchor
    assert fields.mistakes.count == 0
    assert anchor_to_plain(anchor) == written


@pytest.mark.parametrize(
    ("written", "unit", "reason"),
    [
        ("mondey", PeriodUnit.WEEK, "ANCHOR_UNKNOWN"),
        (0, PeriodUnit.MONTH, "INTEGER_OUT_OF_RANGE"),
        (32, PeriodUnit.MONTH, "INTEGER_OUT_OF_RANGE"),
        (15, PeriodUnit.WEEK, "ANCHOR_MISMATCH"),
        ("monday", PeriodUnit.MONTH, "ANCHOR_MISMATCH"),
        ({"month": 4, "day": 6}, PeriodUnit.MONTH, "ANCHOR_MISMATCH"),
        ({"month": 2, "day": 30}, PeriodUnit.YEAR, "ANCHOR_UNKNOWN"),
        ({"month": 13, "day": 1}, PeriodUnit.YEAR, "INTEGER_OUT_OF_RANGE"),
        ({"day": 1}, PeriodUnit.YEAR, "FIELD_MISSING"),
        (["monday"], PeriodUnit.WEEK, "ANCHOR_UNKNOWN"),
    ],
)
def test_r9_an_anchor_that_does_not_fit_is_refused(
    written: object, unit: PeriodUnit, reason: str
) -> None:
    fields = reader({"anchor": written})
    read_anchor(fields, unit=unit)
    assert [violation.reason for violation in fields.mistakes.violations] == [reason]


@pytest.mark.parametrize("text", ["2000-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z"])
def test_periods_are_counted_from_an_instant_between_the_bounds(text: str) -> None:
    assert reader({"start": text}).maybe("start", billing_instant) == parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2200-01-01T00:00:00Z",
        "9999-12-31T23:59:00Z",
    ],
)
def test_an_instant_near_the_end_of_the_calendar_is_refused_by_name(text: str) -> None:
    fields = reader({"start": text})
    assert fields.maybe("start", billing_instant) is None
    (violation,) = fields.mistakes.violations
    assert (violation.field, violation.reason) == ("start", "INSTANT_OUT_OF_RANGE")
    assert "2000 to 2199; correct the year" in violation.description
