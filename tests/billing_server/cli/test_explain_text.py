"""An explained invoice as text."""

from typing import Any

from billing_server.cli.explain_text import event_text, explanation_text

SPAN = {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}


def explained(**fields: Any) -> dict[str, Any]:
    line = {
        "line": 0,
        "description": "Tokens",
        "service_period": SPAN,
        "subscription": "sub-1",
        "unit": "token",
        "calculation": ["used: 500 token", "amount: 5.00 USD, exact"],
        "terms": {
            "plan": "pro",
            "plan_version": 2,
            "effective_from": "2026-01-01T00:00:00Z",
            "addon": None,
            "override": None,
            "share": None,
            "maximum_share": None,
            "price": {"key": "tokens", "model": "per_unit"},
        },
        "usage": {
            "event_count": 1,
            "by_dimensions": [
                {"dimensions": {}, "quantity": "500", "event_count": 1},
            ],
            "not_listed_count": 3,
            "note": "late",
        },
    }
    return {
        "number": "INV-000001",
        "customer": "acme",
        "currency": "USD",
        "period": SPAN,
        "lines": [line],
        "total": "1234.00",
        "margin": {
            "cost": "2.00",
            "charged": "5.00",
            "margin": "3.00",
            "margin_rate": "0.6",
            "lines_without_cost": 1,
            "lines": [{"line": 0, "unit_cost": "0.004", "cost": "2.00", "margin": "3.00"}],
        },
    } | fields


def test_every_line_is_told_with_its_price_its_steps_its_cost_and_its_usage() -> None:
    told = explanation_text(explained()).splitlines()
    assert told[1] == "Invoice INV-000001 of acme, 2026-02-01T00:00:00Z – 2026-03-01T00:00:00Z"
    assert told[3:-1] == [
        "[0] Tokens",
        "    for 2026-02-01T00:00:00Z – 2026-03-01T00:00:00Z, subscription sub-1",
        "    price tokens (per_unit) of plan pro version 2, on offer since 2026-01-01T00:00:00Z",
        "      used: 500 token",
        "      amount: 5.00 USD, exact",
        "      your cost: 2.00 at 0.004 a unit, margin 3.00",
        "    from 1 event:",
        "                 500 token  no dimensions (1 event)",
        "      … and 3 more sets of dimensions",
        "    note: late",
        "",
        "total 1,234.00 USD",
        "your cost of its usage 2.00, margin 3.00 USD, 60 % of 5.00",
        "  (1 usage lines name no unit_cost and are left out)",
    ]


def test_a_draft_without_period_currency_or_cost_is_told_all_the_same() -> None:
    told = explanation_text(
        explained(number=None, period=None, lines=[], margin=None, currency=None)
    )
    assert told.splitlines()[1] == "Invoice (upcoming) of acme, – (no subscription runs)"
    assert "your cost" not in told


def test_an_event_is_one_row() -> None:
    event = {
        "event_time": "2026-02-01T00:00:00Z",
        "quantity": "1500",
        "event_id": "e1",
        "dimensions": {"model": "large"},
        "state": "counted",
        "reason": None,
    }
    assert event_text(event) == "2026-02-01T00:00:00Z           1,500  e1  model=large"
    voided = event | {"state": "voided", "reason": "a test"}
    assert event_text(voided).endswith("model=large  (voided: a test)")
    assert event_text(event | {"state": "amended"}).endswith("  (amended)")


def test_a_price_of_an_add_on_and_a_subscriptions_own_terms_are_told() -> None:
    document = explained()
    document["lines"][0]["terms"] |= {
        "addon": {"key": "fees", "version": 3},
        "override": {"start": "2026-01-15T00:00:00Z", "set": {"included": "5"}},
        "share": {"numerator": 16, "denominator": 31},
        "price": {"key": "tokens", "model": "per_unit", "included": "1000000"},
    }
    told = explanation_text(document).splitlines()
    assert told[5:8] == [
        "    price tokens (per_unit) of add-on fees version 3",
        '    with this subscription\'s own terms since 2026-01-15T00:00:00Z: {"included": "5"}',
        "    for 16/31 of a whole period; a whole one includes 1,000,000",
    ]


def test_r17_a_segment_of_no_day_tells_which_part_of_a_maximum_counts() -> None:
    document = explained()
    document["lines"][0]["terms"] |= {
        "share": {"numerator": 0, "denominator": 1},
        "maximum_share": {"numerator": 7, "denominator": 672},
        "price": {"key": "tokens", "model": "per_unit", "included": "1000", "maximum": "96"},
    }
    told = explanation_text(document).splitlines()
    assert told[6:8] == [
        "    for none of the period by its days; a whole one includes 1,000",
        "    of its maximum of 96 for 7/672, the part by the second",
    ]


def test_what_is_added_as_tax_stands_before_the_total_and_what_is_inside_behind_it() -> None:
    rate = {"name": "VAT", "rate": "0.19", "base": "5.00"}
    text = explanation_text(
        explained(
            tax=[
                {**rate, "behavior": "exclusive", "amount": "0.95"},
                {**rate, "behavior": "inclusive", "amount": "0.80"},
            ]
        )
    )
    lines = text.splitlines()
    total = next(index for index, line in enumerate(lines) if line.startswith("total "))
    assert lines[total - 1] == "VAT 19 % of 5.00: 0.95 USD"
    assert lines[total + 1] == "with VAT 19 % of 5.00: 0.80 USD"
