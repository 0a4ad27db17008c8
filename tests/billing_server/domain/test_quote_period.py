"""Quotes of periods and of proration."""

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.quote_period import quote_period, quote_proration
from metering.errors import ValidationError

JANUARY = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}


def reader(kind: str, fields: object) -> FieldReader:
    return FieldReader(node_from_plain({kind: fields}), path="", mistakes=Mistakes("request"))


def periods(**fields: object) -> list[tuple[str, str]]:
    result = quote_period(reader("period", fields))["periods"]
    return [(item["start"], item["end"]) for item in result]  # type: ignore[attr-defined]


def proration(**fields: object) -> dict[str, object]:
    return quote_proration(reader("proration", fields))


def test_r4_periods_count_from_the_anchor_and_never_drift() -> None:
    ends = [end for _, end in periods(anchor="2026-01-31T00:00:00Z", unit="month", count=4)]
    assert ends == [
        "2026-02-28T00:00:00Z",
        "2026-03-31T00:00:00Z",
        "2026-04-30T00:00:00Z",
        "2026-05-31T00:00:00Z",
    ]


def test_r5_a_year_from_the_29th_of_february_finds_it_again() -> None:
    ends = [end for _, end in periods(anchor="2024-02-29T00:00:00Z", unit="year", count=4)]
    assert [end[:10] for end in ends] == ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_r2_a_billing_day_is_local_midnight_and_a_start_off_it_gives_a_stub() -> None:
    found = periods(
        start="2026-01-15T00:00:00Z",
        unit="month",
        timezone="Europe/Berlin",
        billing_day=31,
        count=3,
    )
    assert found == [
        ("2026-01-15T00:00:00Z", "2026-01-30T23:00:00Z"),
        ("2026-01-30T23:00:00Z", "2026-02-27T23:00:00Z"),
        ("2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z"),
    ]


def test_a_billing_day_beside_an_anchor_counts_from_the_month_of_the_anchor() -> None:
    found = periods(
        anchor="2026-01-31T00:00:00Z",
        start="2026-02-10T00:00:00Z",
        every=1,
        unit="month",
        timezone="Europe/Berlin",
        billing_day=31,
        count=1,
    )
    assert found == [("2026-02-10T00:00:00Z", "2026-02-27T23:00:00Z")]


def test_r1_the_period_that_holds_an_instant_begins_at_it_or_before() -> None:
    assert periods(anchor="2026-01-31T00:00:00Z", at="2026-02-28T00:00:00Z") == [
        ("2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z")
    ]
    # With a start, the first period is the stub from it on.
    assert periods(
        start="2026-02-10T00:00:00Z", anchor="2026-01-31T00:00:00Z", at="2026-02-11T00:00:00Z"
    ) == [("2026-02-10T00:00:00Z", "2026-02-28T00:00:00Z")]
    assert periods(billing_day=1, at="2026-02-11T00:00:00Z") == [
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    ]


def test_several_units_make_one_period() -> None:
    assert periods(start="2026-01-01T00:00:00Z", unit="week", every=2, count=1) == [
        ("2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z")
    ]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"start": "2026-01-01T00:00:00Z"}, "period.count", "FIELD_MISSING"),
        (
            {"start": "2026-01-01T00:00:00Z", "count": 1, "at": "2026-01-01T00:00:00Z"},
            "period.count",
            "FIELD_MISSING",
        ),
        ({"count": 1}, "period.start", "FIELD_MISSING"),
        ({"start": "2026-01-01", "count": 1}, "period.start", "INSTANT_MALFORMED"),
        ({"start": "2026-01-01T00:00:00Z", "count": 0}, "period.count", "INTEGER_OUT_OF_RANGE"),
        (
            {"start": "2026-01-01T00:00:00Z", "count": 1, "unit": "week", "billing_day": 3},
            "period.billing_day",
            "ANCHOR_MISMATCH",
        ),
        (
            {"start": "2026-01-01T00:00:00Z", "count": 1, "timezone": "Mars"},
            "period.timezone",
            "TIMEZONE_UNKNOWN",
        ),
        (
            {"start": "2026-01-01T00:00:00Z", "count": 1, "units": "day"},
            "period.units",
            "FIELD_UNKNOWN",
        ),
    ],
)
def test_a_wrong_period_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        periods(**fields)
    assert (field, reason) in [(item.field, item.reason) for item in caught.value.violations]


@pytest.mark.parametrize(
    ("fields", "fraction", "amount"),
    [
        # R47 and the contract: the first 15 of 31 days of 100 → 48.387…
        (
            {"from": "2026-01-01T00:00:00Z", "to": "2026-01-16T00:00:00Z", "unit": "day"},
            "15/31",
            "48.39",
        ),
        # By the second, half of the 31 days is half.
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-16T12:00:00Z"}, "1/2", "50.00"),
        # On a calendar of 30-day months 15 days are half.
        (
            {"from": "2026-01-01T00:00:00Z", "to": "2026-01-16T00:00:00Z", "unit": "day_30"},
            "1/2",
            "50.00",
        ),
        (
            {"from": "2026-01-01T00:00:00Z", "to": "2026-01-16T00:00:00Z", "unit": "none"},
            "1/1",
            "100.00",
        ),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "0/1", "0.00"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "1/1", "100.00"),
    ],
)
def test_r46_a_share_is_a_fraction_of_the_whole_period(
    fields: dict[str, object], fraction: str, amount: str
) -> None:
    result = proration(period=JANUARY, amount="100", currency="EUR", **fields)
    assert result == {"fraction": fraction, "amount": amount}


def test_r42_a_share_is_never_cut_to_a_daily_rate() -> None:
    # 50 / 31 × 15 = 24.1935… → 24.19
    result = proration(
        period=JANUARY,
        amount="50",
        currency="USD",
        unit="day",
        **{"from": "2026-01-17T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    )
    assert result == {"fraction": "15/31", "amount": "24.19"}


@pytest.mark.parametrize(
    ("at", "old", "new", "credit", "charge", "net"),
    [
        # R49: halfway of 30 days, 20 → 50
        ("2026-01-16T00:00:00Z", "20", "50", "-10.00", "25.00", "15.00"),
        # R48: after 1 of 30 days, 5 → 20: 5 × 29/30 = 4.83, 20 × 29/30 = 19.33
        ("2026-01-02T00:00:00Z", "5", "20", "-4.83", "19.33", "14.50"),
        ("2026-01-16T00:00:00Z", "100", "200", "-50.00", "100.00", "50.00"),
        ("2026-01-31T00:00:00Z", "100", "200", "0.00", "0.00", "0.00"),
    ],
)
def test_r48_r49_a_change_credits_the_rest_of_the_old_and_charges_the_rest_of_the_new(
    at: str, old: str, new: str, credit: str, charge: str, net: str
) -> None:
    result = proration(
        period={"start": "2026-01-01T00:00:00Z", "end": "2026-01-31T00:00:00Z"},
        change={"at": at, "old_amount": old, "new_amount": new},
        currency="USD",
    )
    assert result == {"credit": credit, "charge": charge, "net": net}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "proration.period", "FIELD_MISSING"),
        ({"period": JANUARY}, "proration.from", "FIELD_MISSING"),
        (
            {"period": {"start": JANUARY["end"], "end": JANUARY["start"]}},
            "proration.period.end",
            "PERIOD_EMPTY",
        ),
        (
            {"period": JANUARY, "change": {"at": "2026-01-02T00:00:00Z"}},
            "proration.change.old_amount",
            "FIELD_MISSING",
        ),
        (
            {"period": JANUARY, "change": {}, "amount": "1"},
            "proration.amount",
            "FIELD_UNKNOWN",
        ),
        ({"period": JANUARY, "unit": "hour"}, "proration.unit", "CHOICE_UNKNOWN"),
    ],
)
def test_a_wrong_proration_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        proration(currency="USD", **fields)
    assert (field, reason) in [(item.field, item.reason) for item in caught.value.violations]


def test_a_span_outside_the_period_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        proration(
            period=JANUARY,
            amount="1",
            currency="USD",
            **{"from": "2026-01-02T00:00:00Z", "to": "2026-02-02T00:00:00Z"},
        )
    assert caught.value.reason == "PRORATION_OUTSIDE_PERIOD"
