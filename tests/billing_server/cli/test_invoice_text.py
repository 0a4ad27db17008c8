"""An invoice as text."""

from billing_server.cli.invoice_text import invoice_text

LINE = {
    "description": "Base fee",
    "kind": "recurring",
    "service_period": {"start": "2026-03-10T10:30:00Z", "end": "2026-03-31T22:00:00Z"},
    "quantity": "1",
    "steps": [],
    "proration": {"numerator": 1031, "denominator": 1486},
    "amount": "20.81",
    "amount_exact": "20.814266487213997308",
}
INVOICE = {
    "number": None,
    "reason": "periodic",
    "state": "draft",
    "customer": "acme",
    "currency": "EUR",
    "period": {"start": "2026-03-10T10:30:00Z", "end": "2026-03-31T22:00:00Z"},
    "lines": [LINE],
    "subtotal": "20.81",
    "discount": "0.00",
    "tax_total": "0.00",
    "total": "20.81",
    "amount_due": "20.81",
}


def test_share_exact_and_rounded_amount_are_shown() -> None:
    text = invoice_text(INVOICE)
    assert "Invoice (draft)" in text
    assert "share     1031/1486 of the period" in text
    assert "amount    exact 20.814266487213997308, rounded 20.81 EUR" in text
    assert "discount" not in text


def test_a_draft_without_a_period_is_shown_all_the_same() -> None:
    text = invoice_text({**INVOICE, "period": None, "currency": None, "lines": []})
    assert "no subscription runs" in text


def test_flat_prices_of_a_tier_are_shown() -> None:
    step = {
        "from": "0",
        "to": "100",
        "quantity": "100",
        "unit_price": "0.05",
        "flat_price": "10",
        "amount": "15",
    }
    usage = {**LINE, "kind": "usage", "included_quantity": "0", "billable_quantity": "100"}
    text = invoice_text({**INVOICE, "lines": [{**usage, "unit": "token", "steps": [step]}]})
    assert "0 to 100: 100 × 0.05 + 10 = 15" in text


def test_a_group_is_shown_beside_what_all_groups_used() -> None:
    step = {"kind": "group", "from": "2", "to": "6", "amount": "-4"}
    usage = {"kind": "usage", "quantity": "2", "unit": "call", "steps": [step]}
    line = {**LINE, **usage, "included_quantity": "0.666666666666666667", "billable_quantity": "1"}
    told = invoice_text(
        {**INVOICE, "lines": [line | {"billable_quantity": "1.333333333333333333"}]}
    )
    assert "quantity  2 call, by all 6 − 2 included = 4 call" in told
    assert "less the part of the others, 4 of 6: −4" in told
    without = line | {"included_quantity": "0", "billable_quantity": "2"}
    assert "quantity  2 call, by all 6 call" in invoice_text({**INVOICE, "lines": [without]})
