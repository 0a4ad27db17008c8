"""Which limits hold for a call, and how much of each it takes."""

from decimal import Decimal

import pytest

from meter_agent.core.quota.estimate import PriceBound, PriceStep
from meter_agent.core.quota.terms import (
    CustomerTerms,
    LimitTerms,
    amount_of,
    is_limited,
    terms_of_extension,
)
from metering.limits import LimitKind

TOKENS = LimitTerms(
    limit_key="tokens", kind=LimitKind.UNITS, quantity="tokens", where={"model": "large"}
)
LARGE = {"model": "large", "region": "eu"}


def test_a_limit_holds_for_calls_that_carry_its_dimensions_and_its_quantity() -> None:
    tokens = {"tokens": Decimal(5)}
    assert is_limited(TOKENS, dimensions=LARGE, quantities=tokens)
    assert not is_limited(TOKENS, dimensions={"model": "small"}, quantities=tokens)
    assert not is_limited(TOKENS, dimensions={}, quantities=tokens)
    assert not is_limited(TOKENS, dimensions=LARGE, quantities={"images": Decimal(5)})


@pytest.mark.parametrize(
    ("value", "decimals", "amount"),
    [("5", 0, 5), ("1.5", 3, 1500), ("0.0001", 3, 1), ("2.1", 0, 3), ("0", 3, 0)],
)
def test_a_quantity_is_scaled_and_rounded_up(value: str, decimals: int, amount: int) -> None:
    limit = LimitTerms(limit_key="s", kind=LimitKind.UNITS, quantity="seconds", decimals=decimals)
    assert amount_of(limit, dimensions={}, quantities={"seconds": Decimal(value)}) == amount


def test_a_meter_that_counts_takes_one_unit_for_a_call() -> None:
    calls = LimitTerms(limit_key="c", kind=LimitKind.UNITS, quantity="tokens", is_count=True)
    assert amount_of(calls, dimensions={}, quantities={"tokens": Decimal(900)}) == 1


def test_a_call_takes_one_slot_and_one_that_is_not_limited_takes_nothing() -> None:
    slots = LimitTerms(limit_key="n", kind=LimitKind.CONCURRENCY)
    assert amount_of(slots, dimensions={}, quantities={"tokens": Decimal(900)}) == 1
    assert amount_of(TOKENS, dimensions={}, quantities={"tokens": Decimal(900)}) == 0


def test_money_is_the_highest_cost_in_micro_units_rounded_up() -> None:
    price = PriceBound(
        meter_key="t", quantity="tokens", steps=(PriceStep(Decimal(0), Decimal("0.0000015")),)
    )
    money = LimitTerms(limit_key="cap", kind=LimitKind.MONEY, decimals=6, prices=(price,))
    assert amount_of(money, dimensions={}, quantities={"tokens": Decimal(1)}) == 2
    assert amount_of(money, dimensions={}, quantities={"tokens": Decimal(1000)}) == 1500


def test_money_that_cannot_be_told_has_no_amount() -> None:
    price = PriceBound(meter_key="t", quantity="tokens", is_not_estimable=True)
    money = LimitTerms(limit_key="cap", kind=LimitKind.MONEY, decimals=6, prices=(price,))
    assert amount_of(money, dimensions={}, quantities={"tokens": Decimal(1)}) is None


def test_a_call_that_runs_is_one_event_however_often_it_is_extended() -> None:
    calls = LimitTerms(limit_key="c", kind=LimitKind.UNITS, quantity="tokens", is_count=True)
    slots = LimitTerms(limit_key="n", kind=LimitKind.CONCURRENCY)
    cent, step = Decimal("0.01"), (PriceStep(Decimal(0), Decimal("0.000001")),)
    prices = (
        PriceBound(meter_key="t", quantity="tokens", steps=step, event_price=cent),
        PriceBound(meter_key="c", quantity="tokens", steps=step, is_count=True),
        PriceBound(meter_key="i", quantity="images", event_price=cent),
    )
    money = LimitTerms(limit_key="cap", kind=LimitKind.MONEY, decimals=6, prices=prices)
    terms = CustomerTerms(customer_id="acme", limits=(calls, money, slots))
    more = {"tokens": Decimal(5), "images": Decimal(1)}
    first = {
        item.limit_key: amount_of(item, dimensions={}, quantities=more)
        for item in terms_of_extension(terms, held_keys=(), quantities=()).limits
    }
    # 5 tokens, one event of them, one call counted, one event with images: in micro-units.
    assert first == {"c": 1, "cap": 5 + 10_000 + 1 + 10_000}
    [rest] = terms_of_extension(terms, held_keys={"c", "cap"}, quantities={"tokens"}).limits
    assert amount_of(rest, dimensions={}, quantities=more) == 5 + 10_000


def test_a_limit_is_found_by_its_key() -> None:
    terms = CustomerTerms(customer_id="acme", limits=(TOKENS,))
    assert terms.limit("tokens") == TOKENS
    assert terms.limit("other") is None
