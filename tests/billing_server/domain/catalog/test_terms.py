"""The prices of one subscription: its plan's with overrides, and those of its add-ons."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import Addon, Plan, RecurringPrice
from billing_server.domain.catalog.terms import check_terms, effective_plan
from metering.errors import ValidationError

PLAN = Plan(
    key="pro", version=1, currency="USD", prices=(RecurringPrice(key="base", amount=Decimal(20)),)
)
SEATS = Addon(
    key="team",
    version=1,
    prices=(RecurringPrice(key="seats", amount=Decimal(10), per_unit="seats"),),
)


def test_overrides_and_add_ons_come_into_the_plan() -> None:
    found = effective_plan(
        PLAN,
        overrides={"base": {"amount": "15"}, "seats": {"amount": "8"}, "later": {"amount": "1"}},
        addons=[SEATS],
    )
    assert [(price.key, price.amount) for price in found.prices] == [("base", 15), ("seats", 8)]


def test_terms_that_fit_together_are_let_pass() -> None:
    check_terms(
        PLAN,
        overrides={"seats": {"amount": "8"}},
        addons=[SEATS],
        quantities={"seats": Decimal(3)},
        name="sub-1",
    )


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        check_terms(
            PLAN,
            overrides={"nothing": {"amount": "8"}},
            addons=[SEATS, Addon(key="twin", version=1, prices=PLAN.prices)],
            quantities={},
            name="sub-1",
        )
    assert caught.value.reason == "SUBSCRIPTION_TERMS_INVALID"
    assert [each.reason for each in caught.value.violations] == [
        "PRICE_KEY_DUPLICATE",
        "PRICE_UNKNOWN",
        "QUANTITY_MISSING",
    ]
