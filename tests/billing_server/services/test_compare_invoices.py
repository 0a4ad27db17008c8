"""Why an invoice is not what the one before was."""

from typing import Any

import pytest

from billing_server.services.compare_invoices import Basis, compare_invoices, compare_upcoming
from billing_server.services.context import ServiceContext
from billing_server.services.move_clock import advance_clock
from billing_server.services.move_version import MoveWish, move_version
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import ValidationError
from tests.billing_server.world import CATALOG, TAXED, Usage, apply, make_context

MARCH, APRIL = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"


@pytest.fixture
def context(memory_store: SqlStore) -> ServiceContext:
    """Acme used 1,500 tokens in the first period and 3,000 in the second."""
    context = make_context(memory_store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(MARCH))
    usage.send("3000", at="2026-03-02T00:00:00Z")
    return context


def effects(compared: Any) -> dict[str, tuple[str, str, str]]:
    return {
        line["price"]: (line["usage_effect"], line["price_effect"], line["method"])
        for line in compared["lines"]
    }


def test_this_period_stands_beside_the_last_line_by_line(context: ServiceContext) -> None:
    advance_clock(context, to=parse_instant(APRIL))
    compared = compare_invoices(context, number_or_id="INV-000003")
    assert (compared["before"]["numbers"], compared["after"]["numbers"]) == (
        ["INV-000002"],
        ["INV-000003"],
    )
    # 500 × 0.01 became 2,000 × 0.01.
    assert effects(compared) == {
        "base": ("0.00", "0.00", "rerated"),
        "tokens": ("15.00", "0.00", "rerated"),
    }
    (line,) = [each for each in compared["lines"] if each["price"] == "tokens"]
    assert line["before"] == {"quantity": "1500", "amount": "5.00", "price_version": 1}
    assert line["after"] == {"quantity": "3000", "amount": "20.00", "price_version": 1}
    assert (compared["difference"], compared["usage_effect"], compared["price_effect"]) == (
        "15.00",
        "15.00",
        "0.00",
    )


def test_an_invoice_without_one_before_is_all_new(context: ServiceContext) -> None:
    compared = compare_invoices(context, number_or_id="INV-000002")
    assert compared["before"] is None
    assert effects(compared)["tokens"] == ("5.00", "0.00", "new")


def test_a_named_invoice_is_compared_with_and_one_of_another_customer_is_refused(
    context: ServiceContext,
) -> None:
    compared = compare_invoices(context, number_or_id="INV-000002", with_number="INV-000001")
    assert effects(compared) == {
        "base": ("0.00", "0.00", "rerated"),
        "tokens": ("5.00", "0.00", "new"),
    }
    apply(
        context,
        "customers: [{id: beta}]\nsubscriptions: [{id: sub-b, customer: beta, plan: pro}]",
    )
    with pytest.raises(ValidationError, match="name one of the same customer"):
        compare_invoices(context, number_or_id="INV-000002", with_number="INV-000003")


def test_a_shorter_period_is_rated_by_its_own_share_r17(memory_store: SqlStore) -> None:
    context = make_context(memory_store, start="2026-01-17T00:00:00Z")
    apply(context, CATALOG.replace("anniversary", "calendar").replace("01-31T10:00", "01-17T00:00"))
    usage = Usage(context)
    usage.send("1000", at="2026-01-20T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-02T00:00:00Z"))
    usage.send("1000", at="2026-02-03T00:00:00Z")
    compared = compare_upcoming(context, customer_id="acme")
    # 1,000 × 15/31 = 484 were included then and 516 were charged; now all of 1,000 are included.
    tokens = effects(compared)["tokens"]
    assert tokens == ("0.00", "-5.16", "rerated")


def test_the_upcoming_invoice_is_compared_as_of_now_or_as_estimated(
    context: ServiceContext,
) -> None:
    so_far = compare_upcoming(context, customer_id="acme")
    assert (so_far["basis"], so_far["after"]["numbers"]) == ("so_far", [])
    assert effects(so_far)["tokens"] == ("15.00", "0.00", "rerated")
    # 15.5 of the 31 days from 28 February 10:00 to 31 March 10:00: 6,000 tokens in all.
    advance_clock(context, to=parse_instant("2026-03-15T22:00:00Z"))
    estimate = compare_upcoming(context, customer_id="acme", basis=Basis.ESTIMATE)
    assert effects(estimate)["tokens"] == ("45.00", "0.00", "rerated")
    assert estimate["difference"] == "45.00"


def test_another_version_of_the_price_is_a_price_effect_r37(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(MARCH))
    usage.send("1500", at="2026-03-02T00:00:00Z")
    apply(context, CATALOG.replace('"0.01"', '"0.03"'))
    compared = compare_upcoming(context, customer_id="acme")
    assert effects(compared)["tokens"] == ("0.00", "0.00", "rerated")
    wish = MoveWish(version=2, effective=parse_instant("2026-02-28T10:00:00Z"))
    move_version(context, subscription_id="sub-1", wish=wish)
    compared = compare_upcoming(context, customer_id="acme")
    # 500 × 0.01 → 500 × 0.03.
    assert effects(compared)["tokens"] == ("0.00", "10.00", "rerated")


def test_a_fee_of_a_longer_period_than_the_plans_is_compared(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    yearly = '{key: year, kind: recurring, amount: "120", billing_period: year, bill: in_advance}'
    apply(context, CATALOG.replace("prices:\n", f"prices:\n      - {yearly}\n"))
    advance_clock(context, to=parse_instant(MARCH))
    compared = compare_invoices(context, number_or_id="INV-000002", with_number="INV-000001")
    assert effects(compared)["year"] == ("-120.00", "0.00", "gone")


def test_what_tax_changes_is_told_beside_usage_and_price(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, TAXED)
    Usage(context).send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(MARCH))
    compared = compare_invoices(context, number_or_id="INV-000002", with_number="INV-000001")
    # 5.00 of usage and 19 % of them.
    assert (compared["usage_effect"], compared["price_effect"], compared["tax_effect"]) == (
        "5.00",
        "0.00",
        "0.95",
    )
    assert compared["difference"] == "5.95"
    estimated = compare_upcoming(context, customer_id="acme", basis=Basis.ESTIMATE)
    assert estimated["tax_effect"] == "-0.95"
