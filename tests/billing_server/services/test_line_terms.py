"""The terms behind a line."""

from fractions import Fraction
from typing import Any

from billing_server.domain.invoice.margin import margin_of
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.line_terms import (
    find_line_terms,
    margin_of_lines,
    margin_to_dict,
    share_of,
)
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, apply, make_context

LINE: dict[str, Any] = {
    "subscription": "sub-1",
    "price": "tokens",
    "price_version": 1,
    "segment": 0,
    "kind": "usage",
    "group": {},
    "service_period": {"start": "2026-01-31T10:00:00Z", "end": "2026-02-28T10:00:00Z"},
    "quantity": "1500",
    "amount": "5.00",
    "proration": None,
}


def test_a_line_is_of_the_price_of_the_version_that_it_names_r37(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    apply(context, CATALOG.replace('"0.01"', '"0.02"'))
    with memory_store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        known = find_line_terms(unit, terms=terms, line=LINE)
        for field, value in (("subscription", "x"), ("price", "x"), ("price_version", 9)):
            assert find_line_terms(unit, terms=terms, line=LINE | {field: value}) is None
        fee = find_line_terms(unit, terms=terms, line=LINE | {"price": "base"})
    assert known is not None
    assert known.plan.version == 1
    scope = known.scope_of(LINE, number="INV-000001")
    assert scope is not None
    assert scope.meter.key == "tokens"
    assert fee is not None
    assert fee.scope_of(LINE, number="INV-000001") is None
    assert known.scope_of(LINE | {"kind": "minimum"}, number=None) is None


def test_a_line_names_the_add_on_and_the_override_that_it_was_charged_by(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    plain = "{id: sub-1, customer: acme, plan: pro,"
    own = f"{plain} addons: [help], overrides: {{tokens: {{included: '5'}}}},"
    addon = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "2"}]}]'
    apply(context, CATALOG.replace(plain, own) + addon)
    with memory_store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        tokens = find_line_terms(unit, terms=terms, line=LINE)
        fee = find_line_terms(unit, terms=terms, line=LINE | {"price": "help"})
    assert tokens is not None
    assert tokens.override is not None
    assert (tokens.addon, tokens.override.fields) == (None, {"included": "5"})
    assert fee is not None
    assert fee.addon is not None
    assert (fee.addon.key, fee.addon.version, fee.override) == ("help", 1, None)


def test_the_margin_of_an_invoice_tells_how_many_lines_have_no_cost(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG.replace('"0.01"', '"0.01", unit_cost: "0.001"'))
    with memory_store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        known = find_line_terms(unit, terms=terms, line=LINE)
    lines = [LINE | {"kind": "recurring"}, LINE, LINE]
    margin = margin_of_lines(lines, known=[None, known, None], currency="USD")
    # 1,500 × 0.001 = 1.50 of 5.00.
    assert margin_to_dict(margin) == {
        "cost": "1.50",
        "charged": "5.00",
        "margin": "3.50",
        "margin_rate": "0.7",
        "lines_without_cost": 1,
        "lines": [
            {
                "line": 1,
                "unit_cost": "0.001",
                "cost": "1.50",
                "cost_exact": "1.5",
                "margin": "3.50",
            }
        ],
    }
    assert margin_to_dict(margin_of([], unknown_count=3, currency="USD")) is None


def test_a_line_without_a_share_is_whole() -> None:
    assert share_of(LINE) == 1
    assert share_of(LINE | {"proration": {"numerator": 1, "denominator": 3}}) == Fraction(1, 3)
