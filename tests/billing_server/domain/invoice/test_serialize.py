"""The invoice JSON of the public contract."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from billing_server.domain.invoice.build import build_periodic, build_start, build_upcoming
from billing_server.domain.invoice.finalize import finalize
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import UnpricedUsage
from billing_server.domain.invoice.serialize import invoice_to_dict, line_tax_from_dict
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.tax.rate import NOT_TAXED

INPUT = UsageKey("input")


Make = Callable[..., BillingTerms]


def test_an_invoice_has_every_field_of_the_contract_in_its_order(make_terms: Make) -> None:
    terms = make_terms(start=datetime(2026, 1, 17, tzinfo=UTC))
    draft = build_start(terms).invoice
    assert draft is not None
    final = finalize(
        draft,
        invoice_id="inv_1",
        number="INV-000001",
        issue_time=datetime(2026, 1, 17, tzinfo=UTC),
        due_time=datetime(2026, 1, 31, tzinfo=UTC),
    )
    stub = {"start": "2026-01-17T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    content = invoice_to_dict(final)
    line = {
        "id": draft.lines[0].id,
        "subscription": "sub-1",
        "price": "base",
        "price_version": 0,
        "segment": 0,
        "kind": "recurring",
        "description": "Base fee",
        "group": {},
        "service_period": stub,
        "quantity": "1",
        "included_quantity": "0",
        "billable_quantity": "1",
        "unit": "",
        "amount": "9.68",  # 20 × 15/31 = 9.6774…
        "amount_exact": "9.677419354838709677",
        "steps": [],
        "proration": {"numerator": 15, "denominator": 31},
        "discount_share": "0.00",
        "tax_rates": [],
    }
    wanted = {
        "id": "inv_1",
        "number": "INV-000001",
        "state": "finalized",
        "reason": "start",
        "replaces": None,
        "customer": "acme",
        "currency": "USD",
        "period": stub,
        "issue_time": "2026-01-17T00:00:00Z",
        "due_time": "2026-01-31T00:00:00Z",
        "seller": {"name": "Seller Inc."},
        "customer_details": {"name": "Acme", "timezone": "UTC", "country": "DE"},
        "inputs_sha256": draft.inputs_sha256,
        "lines": [line],
        "subtotal": "9.68",
        "discounts": [],
        "discount": "0.00",
        "tax": [],
        "tax_total": "0.00",
        "total": "9.68",
        "credit_notes_applied": "0.00",
        "credits": [],
        "credits_applied": "0.00",
        "amount_paid": "0.00",
        "amount_due": "9.68",
    }
    assert content == wanted
    assert list(content) == list(wanted)
    assert json.loads(json.dumps(content)) == wanted


def test_a_usage_line_carries_quantities_and_steps(make_terms: Make) -> None:
    terms = make_terms()
    invoice = build_periodic(
        terms, period=terms.timeline.first_period(), quantities={INPUT: Decimal("1500.0")}
    ).invoice
    assert invoice is not None
    line = invoice_to_dict(invoice)["lines"][1]  # type: ignore[index]
    assert (line["quantity"], line["included_quantity"], line["billable_quantity"]) == (
        "1500",
        "1000",
        "500",
    )
    assert (line["unit"], line["amount"], line["amount_exact"]) == ("token", "5.00", "5")
    assert line["proration"] is None
    assert line["steps"][0]["unit_price"] == "0.01"


def test_a_draft_shows_what_no_price_charges(make_terms: Make) -> None:
    terms = make_terms()
    upcoming = build_upcoming(
        terms,
        period=terms.timeline.first_period(),
        quantities={},
        unpriced=[
            UnpricedUsage(
                meter="images",
                dimensions={"z": "1", "a": "2"},
                quantity=Decimal("3.50"),
                unit="image",
            )
        ],
    )
    content = invoice_to_dict(upcoming)
    assert (content["id"], content["number"], content["issue_time"]) == (None, None, None)
    assert content["unpriced"] == [
        {"meter": "images", "dimensions": {"a": "2", "z": "1"}, "quantity": "3.5", "unit": "image"}
    ]


def test_r74_a_taxed_invoice_carries_copies_of_its_rates(make_terms: Make) -> None:
    terms = make_terms(
        catalog="""
plans:
  - key: pro
    currency: EUR
    anchor: calendar
    prices:
      - {key: a, kind: recurring, amount: "100"}
      - {key: b, kind: recurring, amount: "11.90", tax_behavior: inclusive}
tax_rates: [{key: de-vat, name: VAT, rate: "0.190", country: DE}]
"""
    )
    invoice = build_start(terms).invoice
    assert invoice is not None
    content = invoice_to_dict(invoice)
    vat = {"key": "de-vat", "name": "VAT", "rate": "0.19"}
    assert content["tax"] == [
        {**vat, "behavior": "exclusive", "base": "100.00", "amount": "19.00"},
        {**vat, "behavior": "inclusive", "base": "10.00", "amount": "1.90"},
    ]
    assert (content["tax_total"], content["total"]) == ("19.00", "130.90")
    first, second = json.loads(json.dumps(content["lines"]))
    assert (first["tax_rates"], second["tax_rates"]) == (["de-vat"], ["de-vat"])
    assert second["tax"] == {"behavior": "inclusive", "rates": [vat]}
    assert [line_tax_from_dict(line) for line in (first, second)] == [
        line.tax for line in invoice.lines
    ]
    assert line_tax_from_dict({"tax_rates": []}) == NOT_TAXED
