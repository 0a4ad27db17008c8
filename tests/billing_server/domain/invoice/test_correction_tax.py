"""The tax of proposed credit notes."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from billing_server.domain.invoice.correction import Correction
from billing_server.domain.invoice.correction_tax import InvoicedLine, with_note_tax
from billing_server.domain.tax.rate import AppliedRate, LineTax, TaxBehavior
from billing_server.domain.tax.taxing import TaxableLine
from metering.money import Money
from metering.period import Period

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
VAT = AppliedRate(key="vat", name="VAT", rate=Decimal("0.20"))
NOTHING = Money.zero("EUR")


def eur(cents: int) -> Money:
    return Money(cents, "EUR")


def line(price: str, cents: int, *, tax: LineTax | None = None) -> InvoicedLine:
    content = TaxableLine(
        amount=eur(cents), discount_share=NOTHING, tax=LineTax((VAT,)) if tax is None else tax
    )
    return InvoicedLine(price, JANUARY, content)


def correction(price: str, *numbers: str, invoiced: int, corrected: int) -> Correction:
    return Correction(price, JANUARY, numbers, eur(invoiced), eur(corrected), NOTHING)


def reader(**documents: Sequence[InvoicedLine]) -> Callable[[str], Sequence[InvoicedLine]]:
    return documents.__getitem__


def taxes(found: Sequence[Correction]) -> list[Money | None]:
    return [each.tax for each in found]


def test_a_note_carries_the_tax_of_what_it_takes_back() -> None:
    wrong = [correction("tokens", "A", invoiced=3000, corrected=2000)]
    found = with_note_tax(wrong, read=reader(A=[line("base", 500), line("tokens", 3000)]))
    assert taxes(found) == [eur(-200)]
    assert found[0].difference == eur(-1000)


def test_r44_the_notes_on_one_invoice_take_back_its_tax_and_no_more() -> None:
    lines = [
        line(key, cents) for key, cents in (("a", 6833), ("b", 6833), ("c", 5750), ("d", 8500))
    ]
    wrong = [
        correction(each.price, "A", invoiced=each.content.amount.amount_minor, corrected=0)
        for each in lines
    ]
    found = with_note_tax(wrong, read=reader(A=lines))
    # By itself the last would have 17.00, and all of them 55.84 of 55.83.
    assert taxes(found) == [eur(-1367), eur(-1367), eur(-1150), eur(-1699)]


def test_the_newest_invoice_gives_back_first_each_at_its_own_rate() -> None:
    low = LineTax((AppliedRate(key="low", name="VAT", rate=Decimal("0.10")),))
    documents = reader(A=[line("tokens", 3000)], B=[line("tokens", 500, tax=low)])
    wrong = [correction("tokens", "A", "B", invoiced=3500, corrected=2000)]
    # 5.00 of B with 0.50, 10.00 of A with 2.00.
    assert taxes(with_note_tax(wrong, read=documents)) == [eur(-250)]


def test_tax_inside_and_no_tax_bring_none_on_top_and_a_charge_is_not_looked_for() -> None:
    inside = LineTax((VAT,), TaxBehavior.INCLUSIVE)
    documents = reader(A=[line("a", 1200, tax=inside), line("b", 100, tax=LineTax())])
    wrong = [
        correction("a", "A", invoiced=1200, corrected=0),
        correction("b", "A", invoiced=100, corrected=0),
        correction("c", "A", invoiced=0, corrected=100),
    ]
    assert taxes(with_note_tax(wrong, read=documents)) == [NOTHING, NOTHING, None]


def test_lines_below_zero_are_passed_over_and_what_no_line_carries_has_no_tax() -> None:
    documents = reader(A=[line("a", -500), line("a", 1500)])
    wrong = [
        correction("a", "A", invoiced=1000, corrected=0),
        correction("a", invoiced=9, corrected=0),
    ]
    # The tax of the invoice is 2.00, for 10.00 of the second line as for all of it.
    assert taxes(with_note_tax(wrong, read=documents)) == [eur(-200), NOTHING]
