"""`billing-server invoices`."""

from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage


def test_invoices_are_listed_as_a_table_or_json(commands: Commands) -> None:
    listed = commands.json("invoices", "list", "--customer=acme")
    assert [invoice["number"] for invoice in listed] == ["INV-000001"]
    table = commands.output("invoices", "list")
    assert "INV-000001" in table
    assert "20.00 USD" in table
    assert commands.output("invoices", "list", "--state=paid") == "invoices: none\n"


def test_an_invoice_can_be_followed_line_by_line(commands: Commands) -> None:
    Usage(commands.api.context).send("1500", at="2026-02-10T00:00:00Z")
    commands.output("clock", "advance-to", "2026-02-28T11:00:00Z")
    shown = commands.output("invoices", "show", "INV-000002")
    for part in (
        "Invoice INV-000002   periodic   finalized",
        "acme (Acme)",
        "Tokens",
        "1,500 − 1,000 included = 500 token",
        "500 × 0.01 = 5",
        "25.00 USD",
    ):
        assert part in shown
    assert commands.json("invoices", "show", "INV-000002")["total"] == "25.00"


def test_an_unknown_invoice_is_told(commands: Commands) -> None:
    result = commands.run("invoices", "show", "INV-000009")
    told = "error: there is no invoice 'INV-000009': see 'billing-server invoices list'\n"
    assert (result.exit_code, result.stderr) == (1, told)


def test_the_fields_of_an_invoice_keep_the_order_in_which_they_are_read(
    commands: Commands,
) -> None:
    shown = commands.json("invoices", "show", "INV-000001")
    assert " ".join(shown) == (
        "id number state reason replaces customer currency period issue_time due_time seller "
        "customer_details inputs_sha256 lines subtotal discounts discount tax tax_total total "
        "credit_notes_applied credits credits_applied amount_paid amount_due"
    )
    assert " ".join(shown["lines"][0]) == (
        "id subscription price price_version segment kind description group service_period "
        "quantity included_quantity billable_quantity unit amount amount_exact steps proration "
        "discount_share tax_rates"
    )
