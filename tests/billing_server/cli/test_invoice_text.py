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


def test_each_tax_is_shown_with_its_rate_on_top_and_inside() -> None:
    rate = {"key": "de-vat", "name": "VAT", "rate": "0.19"}
    taxes = [
        {**rate, "behavior": "exclusive", "base": "1000.00", "amount": "190.00"},
        {**rate, "rate": "0.055", "behavior": "inclusive", "base": "20.00", "amount": "1.10"},
    ]
    text = invoice_text({**INVOICE, "tax": taxes, "tax_total": "190.00"})
    totals = [" ".join(line.split()) for line in text.splitlines()[-6:-1]]
    assert totals == [
        "subtotal 20.81 EUR",
        "VAT 19 % of 1,000.00 190.00 EUR",
        "total 20.81 EUR",
        "with VAT 5.5 % of 20.00 1.10 EUR",
        "due 20.81 EUR",
    ]


def test_reverse_charge_prints_its_note() -> None:
    details = {"name": "Acme", "tax_exempt": "reverse_charge"}
    text = invoice_text({**INVOICE, "customer_details": details})
    assert "Reverse charge: the customer owes the tax to its own tax office." in text
    assert "Reverse charge" not in invoice_text(INVOICE)
