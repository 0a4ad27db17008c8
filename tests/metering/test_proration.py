"""Tests of proration: the numbers of R42 and R46 to R61, in every unit."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from metering.clock import parse_instant
from metering.errors import ValidationError
from metering.money import RatedAmount, round_line
from metering.period import Period, PeriodUnit, calendar_cycle
from metering.proration import ProrationUnit, prorate, prorate_change, proration_share

SECOND, DAY, DAY_30, NONE = ProrationUnit


def instant(text: str) -> datetime:
    """Reads "2026-01-15" as midnight UTC, or a full instant."""
    return parse_instant(text if "T" in text else f"{text}T00:00:00Z")


def span(start: str, end: str) -> Period:
    """Returns a period of two texts."""
    return Period(instant(start), instant(end))


def share(whole: Period, start: str, end: str, unit: ProrationUnit, zone: str = "UTC") -> Fraction:
    """Returns the share of a span of two texts."""
    return proration_share(
        whole=whole, start=instant(start), end=instant(end), unit=unit, timezone=zone
    )


def rounded(amount: Fraction, currency: str = "USD") -> str:
    """Rounds as an invoice line does."""
    return round_line(RatedAmount(amount, currency)).decimal_string()


JANUARY = span("2026-01-01", "2026-02-01")
THIRTY_DAYS = span("2026-04-01", "2026-05-01")


def test_r42_the_day_price_is_never_rounded() -> None:
    # 50 / 31 × 15 = 24.1935…; the day price rounded to 1.61 would give 24.15.
    assert rounded(prorate(Decimal(50), share=share(JANUARY, "2026-01-17", "2026-02-01", DAY))) == (
        "24.19"
    )


def test_r42_the_share_is_never_cut_to_four_digits() -> None:
    # 1,000 / 7 = 142.857…; a share cut to 0.1428 would give 142.80.
    week = span("2026-03-02", "2026-03-09")
    assert rounded(prorate(Decimal(1000), share=share(week, "2026-03-08", "2026-03-09", DAY))) == (
        "142.86"
    )


def test_r46_a_quarter_has_91_days_even_where_it_was_joined_late() -> None:
    whole = calendar_cycle(
        unit=PeriodUnit.QUARTER, timezone="UTC", at=instant("2026-05-20")
    ).whole_period_at(instant("2026-05-20"))
    # 20 May to 30 June: 12 + 30 = 42 days of 30 + 31 + 30 = 91.
    assert share(whole, "2026-05-20", "2026-07-01", DAY) == Fraction(42, 91)


def test_r47_the_day_of_a_change_belongs_to_the_new_plan() -> None:
    change = "2026-01-15T14:30:00Z"
    old = share(JANUARY, "2026-01-01", change, DAY)
    new = share(JANUARY, change, "2026-02-01", DAY)
    assert (old, new) == (Fraction(14, 31), Fraction(17, 31))
    assert rounded(prorate(Decimal(100), share=old), "EUR") == "45.16"  # 1400 / 31 = 45.161…
    assert rounded(prorate(Decimal(200), share=new), "EUR") == "109.68"  # 3400 / 31 = 109.677…


def test_r48_by_the_second_after_one_of_thirty_days() -> None:
    change = prorate_change(
        whole=THIRTY_DAYS,
        at=instant("2026-04-02"),
        old_amount=Decimal(5),
        new_amount=Decimal(20),
        unit=SECOND,
    )
    # 2,505,600 of 2,592,000 seconds are left: 29/30.
    assert rounded(change.credit) == "-4.83"
    assert rounded(change.charge) == "19.33"
    assert change.net == Fraction(15 * 2_505_600, 2_592_000) == Fraction("14.5")


def test_r49_halfway_from_20_to_50_costs_15() -> None:
    change = prorate_change(
        whole=THIRTY_DAYS,
        at=instant("2026-04-16"),
        old_amount=Decimal(20),
        new_amount=Decimal(50),
        unit=SECOND,
    )
    assert (change.credit, change.charge, change.net) == (-10, 25, 15)


def test_r50_each_unit_counts_the_same_span_in_its_own_way() -> None:
    # The second half of 15 January and the rest of the month.
    args = (JANUARY, "2026-01-15T12:00:00Z", "2026-02-01")
    assert share(*args, SECOND) == Fraction(33, 62)  # 16.5 of 31 days
    assert share(*args, DAY) == Fraction(17, 31)
    assert share(*args, DAY_30) == Fraction(16, 30)  # 30 + 1 − 15 of 30 days
    assert share(*args, NONE) == 1


@pytest.mark.parametrize(
    ("left", "old", "new", "net"),
    [("0.9369", 499, 998, "467.51"), ("0.9238", 998, 1497, "460.98")],
)
def test_r53_a_second_upgrade_is_credited_from_the_full_current_plan(
    left: str, old: int, new: int, net: str
) -> None:
    # 499 × 0.9369 = 467.5131; 499 × 0.9238 = 460.9762.
    rest = Fraction(left)
    assert rounded(prorate(Decimal(new), share=rest) - prorate(Decimal(old), share=rest)) == net


@pytest.mark.parametrize(
    ("left", "old", "new", "due"),
    [("0.9369", 499, 998, "530.49"), ("0.9238", 998, 1497, "575.05")],
)
def test_r53_with_the_anchor_reset_the_new_plan_is_charged_in_full(
    left: str, old: int, new: int, due: str
) -> None:
    # 998 − 467.51 = 530.49; 1497 − 998 × 0.9238 = 1497 − 921.95 = 575.05.
    assert rounded(new - prorate(Decimal(old), share=Fraction(left))) == due


def test_r55_a_fixed_discount_is_prorated_with_its_item() -> None:
    change = prorate_change(
        whole=THIRTY_DAYS,
        at=instant("2026-04-16"),
        old_amount=Decimal(20) - 5,
        new_amount=Decimal(30) - 5,
        unit=DAY,
    )
    assert (change.credit, change.charge) == (Fraction("-7.5"), Fraction("12.5"))


@pytest.mark.parametrize(
    ("whole", "last_day", "net"),
    [(JANUARY, "2026-01-31", "0.16"), (THIRTY_DAYS, "2026-04-30", "0.17")],
)
def test_r61_a_change_on_the_last_day_costs_one_day(whole: Period, last_day: str, net: str) -> None:
    change = prorate_change(
        whole=whole,
        at=instant(last_day),
        old_amount=Decimal(10),
        new_amount=Decimal(15),
        unit=DAY,
    )
    assert rounded(change.net) == net  # 5/31 = 0.161…, 5/30 = 0.1666…


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),  # 23 hours
        ("2026-03-09T04:00:00Z", "2026-03-10T04:00:00Z"),  # 24 hours
    ],
)
def test_r3_a_local_day_of_23_hours_counts_as_one_day(start: str, end: str) -> None:
    march = span("2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z")
    assert share(march, start, end, DAY, "America/New_York") == Fraction(1, 31)


def test_r3_a_local_day_of_25_hours_counts_as_one_day() -> None:
    november = span("2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z")
    args = (november, "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z")
    assert share(*args, DAY, "America/New_York") == Fraction(1, 30)
    assert share(*args, SECOND) == Fraction(25, 721)  # 30 × 24 + 1 = 721 hours


def test_days_are_those_of_the_zone() -> None:
    # 23:30 UTC on 14 January is 00:30 on the 15th in Berlin.
    january = span("2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z")
    rest = (january, "2026-01-14T23:30:00Z", "2026-01-31T23:00:00Z")
    assert share(*rest, DAY, "Europe/Berlin") == Fraction(17, 31)


@pytest.mark.parametrize(
    ("whole", "start", "end", "expected"),
    [
        # Every calendar month is 30 days, whatever its length.
        (JANUARY, "2026-01-01", "2026-01-16", Fraction(15, 30)),
        (span("2026-02-01", "2026-03-01"), "2026-02-15", "2026-03-01", Fraction(16, 30)),
        (span("2026-02-01", "2026-03-01"), "2026-02-28", "2026-03-01", Fraction(3, 30)),
        # The 31st counts as the 30th.
        (JANUARY, "2026-01-31", "2026-02-01", Fraction(1, 30)),
        (JANUARY, "2026-01-30", "2026-01-31", Fraction(0)),
        (JANUARY, "2026-01-30", "2026-02-01", Fraction(1, 30)),
        # A quarter is 90 and a year 360.
        (span("2026-04-01", "2026-07-01"), "2026-05-20", "2026-07-01", Fraction(41, 90)),
        (span("2026-01-01", "2027-01-01"), "2026-07-01", "2027-01-01", Fraction(1, 2)),
        (span("2026-01-15", "2026-02-15"), "2026-02-01", "2026-02-15", Fraction(14, 30)),
    ],
)
def test_r50_months_of_thirty_days(whole: Period, start: str, end: str, expected: Fraction) -> None:
    assert share(whole, start, end, DAY_30) == expected


@pytest.mark.parametrize(
    ("whole", "unit"),
    [
        (span("2026-01-30", "2026-01-31"), DAY_30),
        (span("2026-01-30T06:00:00Z", "2026-01-30T18:00:00Z"), DAY),
    ],
)
def test_a_period_in_which_no_day_counts_is_shared_by_the_second(
    whole: Period, unit: ProrationUnit
) -> None:
    middle = whole.start + (whole.end - whole.start) / 4
    assert proration_share(whole=whole, start=middle, end=whole.end, unit=unit) == Fraction(3, 4)


@pytest.mark.parametrize("unit", ProrationUnit)
def test_the_whole_is_one_and_nothing_is_nought(unit: ProrationUnit) -> None:
    assert share(JANUARY, "2026-01-01", "2026-02-01", unit) == 1
    assert share(JANUARY, "2026-01-10", "2026-01-10", unit) == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-12-31", "2026-01-10"),
        ("2026-01-10", "2026-02-02"),
        ("2026-01-20", "2026-01-10"),
    ],
)
def test_a_span_outside_its_period_is_refused(start: str, end: str) -> None:
    with pytest.raises(ValidationError) as caught:
        share(JANUARY, start, end, SECOND)
    assert caught.value.reason == "PRORATION_OUTSIDE_PERIOD"


def test_seconds_are_exact_to_the_microsecond() -> None:
    assert share(JANUARY, "2026-01-01", "2026-01-01T00:00:00.000001Z", SECOND) == Fraction(
        1, 31 * 86_400 * 1_000_000
    )


def test_a_day_beyond_the_calendar_is_refused() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    whole = Period(datetime(9999, 12, 1, tzinfo=UTC), last)
    with pytest.raises(ValidationError) as caught:
        proration_share(
            whole=whole, start=whole.start, end=last, unit=ProrationUnit.DAY, timezone="Asia/Tokyo"
        )
    assert caught.value.reason == "PERIOD_OUT_OF_RANGE"
