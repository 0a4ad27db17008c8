"""Credit notes: never more than their invoice, and all of it where all is credited."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.tax.credit_note import CreditNoteAmounts, credit_note
from billing_server.domain.tax.rate import AppliedRate, LineTax, TaxBehavior
from billing_server.domain.tax.taxing import TaxableLine, tax_of
from metering.errors import ValidationError
from metering.money import Money

EXCLUSIVE, INCLUSIVE = TaxBehavior.EXCLUSIVE, TaxBehavior.INCLUSIVE
VAT = AppliedRate(key="vat", name="VAT", rate=Decimal("0.20"))
GST = AppliedRate(key="gst", name="GST", rate=Decimal("0.05"))
NOTHING = Money.zero("USD")


def usd(cents: int) -> Money:
    return Money(cents, "USD")


def line(
    cents: int,
    *rates: AppliedRate,
    discount: int = 0,
    behavior: TaxBehavior = EXCLUSIVE,
) -> TaxableLine:
    return TaxableLine(
        amount=usd(cents), discount_share=usd(discount), tax=LineTax(rates, behavior)
    )


def notes(
    lines: Sequence[TaxableLine], *wanted: Mapping[int, int]
) -> tuple[CreditNoteAmounts, ...]:
    found: list[CreditNoteAmounts] = []
    for items in wanted:
        amounts = {index: usd(cents) for index, cents in items.items()}
        found.append(credit_note(lines, items=amounts, earlier=found))
    return tuple(found)


def totals(found: Sequence[CreditNoteAmounts]) -> list[str]:
    return [note.total.decimal_string() for note in found]


INVOICE = [line(cents, VAT) for cents in (6833, 6833, 5750, 8500)]


def test_r44_the_last_note_absorbs_the_difference_to_the_invoice() -> None:
    found = notes(INVOICE, {0: 6833}, {1: 6833}, {2: 5750}, {3: 8500})
    # The last by itself would be 102.00, and all of them 335.00 for an invoice of 334.99.
    assert totals(found) == ["82.00", "82.00", "69.00", "101.99"]
    assert sum((note.total for note in found), NOTHING) == usd(33499)


def test_r44_one_note_for_all_is_the_invoice() -> None:
    (note,) = notes(INVOICE, {0: 6833, 1: 6833, 2: 5750, 3: 8500})
    assert (note.total, note.tax) == (usd(33499), tax_of(INVOICE, currency="USD").amounts)


def test_r44_many_small_notes_carry_their_tax_as_it_adds_up() -> None:
    # 0.01 × 0.2 is 0.002: nothing by itself, a cent with every fifth note.
    found = notes([line(10, VAT)], *[{0: 1}] * 10)
    assert [note.added.amount_minor for note in found] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_r44_rounding_up_stops_where_the_tax_of_the_invoice_is_used_up() -> None:
    # 0.03 × 0.2 = 0.006, rounded up each time; all of it is 0.30 × 0.2 = 0.06.
    found = notes([line(30, VAT)], *[{0: 3}] * 10)
    assert sum(note.added.amount_minor for note in found) == 6
    assert {note.added.amount_minor for note in found} == {0, 1}


def test_r44_a_note_on_one_of_two_rates_finishes_that_rate_alone() -> None:
    lines = [line(333, VAT), line(777, GST), line(100)]
    found = notes(lines, {0: 333}, {2: 100}, {1: 777})
    assert totals(found) == ["4.00", "1.00", "8.16"]


def test_r44_tax_inside_a_line_is_taken_back_with_it_and_not_on_top() -> None:
    lines = [line(1200, VAT, behavior=INCLUSIVE), line(7, VAT, behavior=INCLUSIVE)]
    # 12.07 − 12.07 / 1.2 = 2.0117; the notes have 2.00 of it and the rest.
    found = notes(lines, {0: 1200}, {1: 7})
    assert totals(found) == ["12.00", "0.07"]
    assert [(tax.base, tax.amount) for note in found for tax in note.tax] == [
        (usd(1000), usd(200)),
        (usd(6), usd(1)),
    ]


def test_r44_the_base_inside_a_note_gives_way_to_the_tax_that_is_left() -> None:
    # 0.03 inside at 20 % is 0.005 → 0.01 each by itself; all of 0.09 is 0.015 → 0.02.
    found = notes([line(9, VAT, behavior=INCLUSIVE)], {0: 3}, {0: 3}, {0: 3})
    taxes = [(tax.base.amount_minor, tax.amount.amount_minor) for n in found for tax in n.tax]
    assert taxes == [(2, 1), (3, 0), (2, 1)]


def test_r79_items_take_the_coupon_share_of_their_line() -> None:
    lines = [line(10000, AppliedRate(key="t", name="T", rate=Decimal("0.10")), discount=1000)]
    # R71: 100 − 10 = 90, tax 9, 99. Half of it, and the rest.
    found = notes(lines, {0: 5000}, {0: 5000})
    assert [
        (item.discount_share.amount_minor, note.total.amount_minor)
        for note in found
        for item in note.items
    ] == [(500, 4950), (500, 4950)]


def test_r79_coupon_shares_of_parts_add_up_to_that_of_the_line() -> None:
    found = notes([line(300, discount=100)], {0: 100}, {0: 100}, {0: 100})
    assert [item.discount_share.amount_minor for n in found for item in n.items] == [33, 33, 34]


def test_r78_no_note_takes_back_more_than_is_left_and_every_wrong_item_is_named() -> None:
    earlier = notes(INVOICE, {0: 6000})
    items = {0: usd(834), 1: usd(0), 2: Money(1, "EUR"), 7: usd(1)}
    with pytest.raises(ValidationError) as caught:
        credit_note(INVOICE, items=items, earlier=earlier)
    assert caught.value.reason == "CREDIT_ITEM_INVALID"
    assert [(each.field, each.reason) for each in caught.value.violations] == [
        ("lines[0]", "CREDIT_EXCEEDS_LINE"),
        ("lines[1]", "AMOUNT_NOT_POSITIVE"),
        ("lines[2]", "CURRENCY_MISMATCH"),
        ("lines[7]", "LINE_UNKNOWN"),
    ]
    assert "8.34 is more than the 8.33 USD that is left" in caught.value.message


def test_a_note_without_an_item_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one amount"):
        credit_note(INVOICE, items={})


def test_r44_lines_below_zero_leave_less_to_be_taken_back() -> None:
    lines = [line(10000, VAT), line(-4000, VAT)]
    # 60.00 and 12.00 are left; 50.00 of the first line have 10.00, 2.00 stay.
    found = notes(lines, {0: 5000}, {0: 1000})
    assert totals(found) == ["60.00", "12.00"]
    with pytest.raises(ValidationError, match=r"1\.00 USD is more than the 0\.00") as caught:
        credit_note(lines, items={0: usd(100)}, earlier=found)
    assert caught.value.reason == "CREDIT_EXCEEDS_INVOICE"
    with pytest.raises(ValidationError, match="more than the -40"):
        credit_note(lines, items={1: usd(100)})


@st.composite
def split_invoices(draw: st.DrawFn) -> tuple[list[TaxableLine], list[dict[int, Money]]]:
    """Draws an invoice and notes that together take back all of it."""
    lines = []
    parts: list[dict[int, Money]] = [{} for _ in range(draw(st.integers(1, 5)))]
    for index in range(draw(st.integers(1, 4))):
        cents = draw(st.integers(1, 2000))
        rates = draw(st.lists(st.sampled_from([VAT, GST]), unique=True))
        lines.append(
            line(
                cents,
                *rates,
                discount=draw(st.integers(0, cents)),
                behavior=draw(st.sampled_from(TaxBehavior)),
            )
        )
        cuts = sorted(draw(st.integers(0, cents)) for _ in parts[1:])
        for part, start, end in zip(parts, [0, *cuts], [*cuts, cents], strict=True):
            if end > start:
                part[index] = usd(end - start)
    return lines, [part for part in parts if part]


@given(split_invoices())
def test_r44_notes_never_exceed_the_invoice_and_all_of_them_are_the_invoice(
    invoice: tuple[list[TaxableLine], list[dict[int, Money]]],
) -> None:
    lines, parts = invoice
    tax = tax_of(lines, currency="USD")
    whole = sum((each.taxable for each in lines), tax.added)
    found: list[CreditNoteAmounts] = []
    for items in parts:
        found.append(credit_note(lines, items=items, earlier=found))
        assert found[-1].total.amount_minor >= 0
        assert all(each.amount.amount_minor >= 0 for each in found[-1].tax)
        assert sum(note.total.amount_minor for note in found) <= whole.amount_minor
    assert sum((note.total for note in found), NOTHING) == whole
    for each in tax.amounts:
        credited = [
            part.amount
            for note in found
            for part in note.tax
            if (part.rate, part.behavior) == (each.rate, each.behavior)
        ]
        assert sum(credited, NOTHING) == each.amount


@given(split_invoices())
def test_r78_every_note_is_less_than_one_and_a_half_minor_units_from_its_own_tax(
    invoice: tuple[list[TaxableLine], list[dict[int, Money]]],
) -> None:
    lines, parts = invoice
    found: list[CreditNoteAmounts] = []
    for items in parts:
        found.append(credit_note(lines, items=items, earlier=found))
    for note in found:
        for each in note.tax:
            if each.behavior is EXCLUSIVE:
                exact = each.base.amount_minor * each.rate.rate
                assert abs(each.amount.amount_minor - exact) < Decimal("1.5")


def test_r44_the_last_note_may_absorb_a_whole_minor_unit() -> None:
    # 1.19 less 0.31 is 0.88, taxed with 0.176 → 0.18: bases 0.01, 0.02 and 0.85, of which the first
    # two have 0.002 and 0.004, nothing each, and the last 0.17 and what is left.
    found = notes([line(119, VAT, discount=31)], {0: 1}, {0: 3}, {0: 115})
    assert [note.added.amount_minor for note in found] == [0, 0, 18]
