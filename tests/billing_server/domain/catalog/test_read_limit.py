"""Limits in catalog files: what is read, how it is written again, and every mistake by its line."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.catalog.serialize import (
    customer_from_dict,
    customer_to_dict,
    plan_from_dict,
    plan_to_dict,
)
from billing_server.domain.subscription.model import Customer
from metering.errors import ValidationError
from metering.limits import Enforcement, ExpiryBilling, OfflinePolicy, SilencePolicy

CATALOG = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    limits:
"""


def catalog_with(*limits: str) -> str:
    return CATALOG + "\n".join(
        f"      - {{key: limit-{n}, {each}}}" for n, each in enumerate(limits)
    )


def read(limit: str) -> Limit:
    return parse_catalog(catalog_with(limit), name="catalog.yaml").plans[0].limits[0]


def mistakes_of(*limits: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(catalog_with(*limits), name="catalog.yaml")
    assert caught.value.reason == "CATALOG_INVALID"
    return [f"{each.reason} {each.description}" for each in caught.value.violations]


def test_a_hard_limit_on_a_meter_holds_leases_and_is_closed_offline() -> None:
    found = read('meter: tokens, where: {model: large}, window: day, max: "5000000"')
    assert found == Limit(
        key="limit-0",
        subject=LimitSubject.METER,
        meter="tokens",
        where={"model": "large"},
        window=LimitWindow(WindowUnit.DAY),
        maximum=Decimal(5_000_000),
        enforcement=Enforcement.HARD,
        when_offline=OfflinePolicy.CLOSED,
        unconfirmed=SilencePolicy.HOLD,
        thresholds=(Decimal("0.8"), Decimal(1)),
    )


@pytest.mark.parametrize("enforcement", ["soft", "shadow"])
def test_a_limit_that_refuses_nothing_is_open_offline_and_reclaims_up_to_itself(
    enforcement: str,
) -> None:
    found = read(f"meter: tokens, window: month, max: 500, enforcement: {enforcement}")
    assert (found.when_offline, found.unconfirmed) == (OfflinePolicy.OPEN, SilencePolicy.RECLAIM)
    assert found.reclaim_max == 500


def test_a_spend_cap_counts_money_to_the_millionth() -> None:
    found = read('amount: "500.000001", window: billing_period, thresholds: ["1", "0.5"]')
    assert (found.subject, found.maximum) == (LimitSubject.MONEY, Decimal("500.000001"))
    assert found.window == LimitWindow(WindowUnit.BILLING_PERIOD)
    assert found.thresholds == (Decimal("0.5"), Decimal(1))


def test_a_prepaid_balance_a_rate_and_slots_are_limits_too() -> None:
    assert read("balance: prepaid").subject is LimitSubject.BALANCE
    rate = read("meter: tokens, window: minute, max: 600")
    assert (rate.window.unit, rate.burst) == (WindowUnit.MINUTE, Decimal(600))
    assert read("meter: tokens, window: minute, max: 600, burst: 50").burst == 50
    slots = read("concurrency: 8, max_hold: PT5M, bill_on_expiry: input")
    assert (slots.maximum, slots.max_hold) == (8, timedelta(minutes=5))
    assert slots.bill_on_expiry is ExpiryBilling.INPUT


@pytest.mark.parametrize(
    ("limit", "reason", "named"),
    [
        ("window: day", "LIMIT_SUBJECT_UNCLEAR", "write meter and max, or amount"),
        (
            'meter: tokens, max: 1, amount: "2", window: day',
            "LIMIT_SUBJECT_UNCLEAR",
            "here stand meter and amount",
        ),
        ("meter: tokens, window: day", "FIELD_MISSING", "limits[0].max: the field is missing"),
        ("meter: tokens, max: 5", "FIELD_MISSING", "limits[0].window"),
        ("meter: tokens, max: 5.5, window: day", "FLOAT_NOT_ALLOWED", 'quote it: "5.5"'),
        ('meter: tokens, max: "-5", window: day', "QUANTITY_NEGATIVE", "limits[0].max"),
        ("meter: words, max: 5, window: day", "METER_UNKNOWN", "there is no meter 'words'"),
        ("meter: tokens, max: 5, window: dy", "LIMIT_WINDOW_UNKNOWN", "did you mean 'day'"),
        ('meter: tokens, max: 5, window: "rolling:5y"', "LIMIT_WINDOW_UNKNOWN", "rolling:5h"),
        ('meter: tokens, max: 5, window: "rolling:91d"', "LIMIT_WINDOW_UNKNOWN", "rolling:90d"),
        ('amount: "5", window: minute', "LIMIT_WINDOW_MISMATCH", "money has no rate"),
        ('amount: "0.0000001", window: day', "AMOUNT_TOO_PRECISE", "at most 6 digits"),
        ("concurrency: -1", "INTEGER_OUT_OF_RANGE", "limits[0].concurrency"),
        ("balance: gold", "BALANCE_UNKNOWN", "write balance: prepaid"),
        ("balance: prepaid, window: day", "FIELD_UNKNOWN", "limits[0].window"),
        (
            "meter: tokens, max: 5, window: day, enforcement: firm",
            "CHOICE_UNKNOWN",
            "use one of: hard, soft, shadow",
        ),
        (
            "meter: tokens, max: 5, window: day, when_offline: allowance",
            "FIELD_MISSING",
            "limits[0].allowance",
        ),
        ("meter: tokens, max: 5, window: day, allowance: 1", "LIMIT_FIELD_IDLE", "when_offline"),
        (
            "meter: tokens, max: 5, window: day, unconfirmed: reclaim",
            "FIELD_MISSING",
            "write how much",
        ),
        ("meter: tokens, max: 5, window: day, reclaim_max: 1", "LIMIT_FIELD_IDLE", "unconfirmed"),
        ("meter: tokens, max: 5, window: day, burst: 1", "LIMIT_FIELD_IDLE", "window: minute"),
        ("meter: tokens, max: 5, window: day, max_hold: PT1M", "LIMIT_FIELD_IDLE", "concurrency"),
        ("concurrency: 5, max_hold: P2D", "DURATION_OUT_OF_RANGE", "PT1S to P1D"),
        (
            'meter: tokens, max: 5, window: day, thresholds: ["0"]',
            "THRESHOLDS_MALFORMED",
            "above 0",
        ),
        ("meter: tokens, max: 5, window: day, maxx: 5", "FIELD_UNKNOWN", "did you mean 'max'"),
        ("metre: tokens, max: 5, window: day", "FIELD_UNKNOWN", "did you mean 'meter'"),
    ],
)
def test_a_mistake_names_its_line_its_field_and_the_remedy(
    limit: str, reason: str, named: str
) -> None:
    found = mistakes_of(limit)
    assert any(
        each.startswith(f"{reason} catalog.yaml:7: plans[0].limits[0]") and named in each
        for each in found
    ), found


def test_a_key_stands_once_among_the_limits_of_a_plan() -> None:
    same = "key: limit-0, meter: tokens, max: 5, window: day"
    text = catalog_with("meter: tokens, max: 5, window: day") + f"\n      - {{{same}}}"
    with pytest.raises(ValidationError, match="already; rename one"):
        parse_catalog(text, name="catalog.yaml")


def test_a_plan_has_at_most_fifty_limits() -> None:
    many = mistakes_of(*["concurrency: 1"] * 51)
    assert [each.split()[0] for each in many] == ["LIMITS_TOO_MANY"]


EVERY = (
    'meter: tokens, where: {model: large}, window: "rolling:5h", max: 10',
    "meter: tokens, window: minute, max: 600, burst: 50",
    'amount: "500.5", window: month, enforcement: soft',
    'balance: prepaid, unconfirmed: reclaim, reclaim_max: "1.5"',
    "concurrency: 8, max_hold: PT5M",
    "meter: tokens, window: lifetime, max: 9, when_offline: allowance, allowance: 3",
)


def test_every_limit_survives_the_way_to_json_and_back() -> None:
    (plan,) = parse_catalog(catalog_with(*EVERY), name="catalog.yaml").plans
    assert len(plan.limits) == len(EVERY)
    assert plan_from_dict(plan_to_dict(plan)) == plan
    customer = Customer(id="acme", limits=plan.limits)
    assert customer_from_dict(customer_to_dict(customer)) == customer


def test_a_customer_that_names_no_limits_keeps_what_it_has() -> None:
    text = "customers: [{id: acme}, {id: bela, limits: []}]"
    acme, bela = parse_catalog(text, name="catalog.yaml").customers
    assert (acme.limits, bela.limits) == (None, ())
