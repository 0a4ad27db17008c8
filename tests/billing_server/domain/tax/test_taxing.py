"""Tax of a document: on the sum of its lines for each rate, rounded once."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.tax.rate import AppliedRate, LineTax, TaxBehavior
from billing_server.domain.tax.taxing import (
    DocumentTax,
    TaxableLine,
    TaxAmount,
    merged_amounts,
    tax_of,
)
from metering.money import Money

EXCLUSIVE, INCLUSIVE = TaxBehavior.EXCLUSIVE, TaxBehavior.INCLUSIVE


def rate(fraction: str, name: str = "VAT") -> AppliedRate:
    return AppliedRate(key=f"{name}-{fraction}", name=name, rate=Decimal(fraction))


def money(text: str, currency: str = "USD") -> Money:
    return Money.from_decimal_string(text, currency)


def line(
    amount: str, *rates: AppliedRate, behavior: TaxBehavior = EXCLUSIVE, discount: str = "0.00"
) -> TaxableLine:
    return TaxableLine(
        amount=money(amount), discount_share=money(discount), tax=LineTax(rates, behavior)
    )


def shown(tax: DocumentTax) -> list[tuple[str, str, str]]:
    return [
        (each.rate.key, each.base.decimal_string(), each.amount.decimal_string())
        for each in tax.amounts
    ]


def test_r43_tax_is_rounded_once_on_the_sum_of_the_lines() -> None:
    vat = rate("0.20")
    lines = [line(amount, vat) for amount in ("68.33", "68.33", "57.50", "85.00")]
    tax = tax_of(lines, currency="USD")
    # 279.16 × 0.2 = 55.832; per line 13.67 + 13.67 + 11.50 + 17.00 would be 55.84.
    assert shown(tax) == [("VAT-0.20", "279.16", "55.83")]
    assert money("279.16") + tax.added == money("334.99")


def test_r43_tax_inside_a_price_is_gross_less_gross_over_one_and_the_rate() -> None:
    vat = rate("0.19")
    lines = [line("119.00", vat, behavior=INCLUSIVE), line("9.99", vat, behavior=INCLUSIVE)]
    tax = tax_of(lines, currency="USD")
    # 128.99 − 128.99 / 1.19 = 20.59504...
    assert shown(tax) == [("VAT-0.19", "108.39", "20.60")]
    assert (tax.added, tax.included) == (money("0.00"), money("20.60"))


def test_r43_an_exact_half_inside_a_price_still_adds_up_to_the_price() -> None:
    # 0.03 − 0.03 / 2 = 0.015 → 0.02, and the base is the rest: rounding both would give 0.04.
    tax = tax_of([line("0.03", rate("1"), behavior=INCLUSIVE)], currency="USD")
    assert shown(tax) == [("VAT-1", "0.01", "0.02")]


def test_r43_several_rates_on_a_line_have_the_same_base() -> None:
    gst, pst = rate("0.05", "GST"), rate("0.07", "PST")
    on_top = tax_of([line("100.00", pst, gst)], currency="USD")
    assert shown(on_top) == [("GST-0.05", "100.00", "5.00"), ("PST-0.07", "100.00", "7.00")]
    inside = tax_of([line("112.00", gst, pst, behavior=INCLUSIVE)], currency="USD")
    assert shown(inside) == [("GST-0.05", "100.00", "5.00"), ("PST-0.07", "100.00", "7.00")]


def test_r43_several_rates_inside_a_price_add_up_to_it_with_their_base() -> None:
    gst, pst = rate("0.05", "GST"), rate("0.07", "PST")
    # 0.12 × 5 / 112 = 0.0053… and 0.12 × 7 / 112 = 0.0075: rounded together they would be 0.01.
    inside = tax_of([line("0.12", gst, pst, behavior=INCLUSIVE)], currency="USD")
    assert shown(inside) == [("GST-0.05", "0.10", "0.01"), ("PST-0.07", "0.10", "0.01")]


def test_r43_lines_of_different_rates_are_summed_apart_and_untaxed_ones_left_out() -> None:
    low, high = rate("0.07"), rate("0.19")
    lines = [line("10.00", high), line("5.00", low), line("0.10", high), line("3.00")]
    tax = tax_of(lines, currency="USD")
    assert shown(tax) == [("VAT-0.07", "5.00", "0.35"), ("VAT-0.19", "10.10", "1.92")]
    assert tax.added == money("2.27")


def test_r43_one_rate_on_top_of_a_line_and_inside_another_is_two_sums() -> None:
    vat = rate("0.20")
    lines = [line("12.00", vat, behavior=INCLUSIVE), line("10.00", vat)]
    tax = tax_of(lines, currency="USD")
    assert [(each.behavior, each.base, each.amount) for each in tax.amounts] == [
        (EXCLUSIVE, money("10.00"), money("2.00")),
        (INCLUSIVE, money("10.00"), money("2.00")),
    ]
    assert (tax.added, tax.included) == (money("2.00"), money("2.00"))


def test_r45_a_line_that_undoes_a_fee_takes_its_tax_back() -> None:
    vat = rate("0.20")
    tax = tax_of([line("100.00", vat), line("-50.00", vat)], currency="USD")
    assert shown(tax) == [("VAT-0.20", "50.00", "10.00")]
    assert shown(tax_of([line("-0.13", vat)], currency="USD")) == [("VAT-0.20", "-0.13", "-0.03")]


def test_r70_coupons_lower_the_base_and_prepaid_credit_does_not() -> None:
    tax = tax_of([line("100.00", rate("0.0825"), discount="30.00")], currency="USD")
    assert shown(tax) == [("VAT-0.0825", "70.00", "5.78")]
    assert money("70.00") + tax.added - money("5.00") == money("70.78")


def test_r71_ninety_after_the_coupon_are_taxed_with_nine() -> None:
    tax = tax_of([line("100.00", rate("0.10"), discount="10.00")], currency="USD")
    assert shown(tax) == [("VAT-0.10", "90.00", "9.00")]
    assert money("90.00") + tax.added - money("5.00") == money("94.00")


def test_a_rate_of_zero_is_shown_and_a_currency_without_minor_units_is_rounded_to_whole() -> None:
    lines = [
        TaxableLine(
            amount=Money(1005, "JPY"), discount_share=Money(0, "JPY"), tax=LineTax((found,))
        )
        for found in (rate("0"), rate("0.1"))
    ]
    assert shown(tax_of(lines, currency="JPY")) == [
        ("VAT-0", "1005", "0"),
        ("VAT-0.1", "1005", "101"),
    ]


def test_no_lines_have_no_tax() -> None:
    assert tax_of([], currency="USD") == DocumentTax(amounts=(), added=money("0.00"))


RATES = st.sampled_from([rate("0.19"), rate("0.0825"), rate("0.07", "PST"), rate("1", "LUX")])
LINES = st.lists(
    st.builds(
        lambda minor, share, rates, behavior: TaxableLine(
            amount=Money(minor, "USD"),
            discount_share=Money(minor * share // 100, "USD"),
            tax=LineTax(tuple(rates), behavior),
        ),
        st.integers(0, 10_000_00),
        st.integers(0, 100),
        st.lists(RATES, unique=True, max_size=3),
        st.sampled_from(TaxBehavior),
    ),
    max_size=8,
)


def error(tax: TaxAmount) -> Decimal:
    return abs(tax.base.amount_minor * tax.rate.rate - tax.amount.amount_minor)


@given(LINES)
def test_r43_every_rate_of_a_document_is_its_base_times_its_fraction_to_half_a_cent(
    lines: list[TaxableLine],
) -> None:
    tax = tax_of(lines, currency="USD")
    on_top = [each for each in tax.amounts if each.behavior is EXCLUSIVE]
    assert all(error(each) <= Decimal("0.5") for each in on_top)
    assert tax.added == sum((each.amount for each in on_top), Money.zero("USD"))


@given(LINES)
def test_r43_one_rate_inside_adds_up_to_what_the_lines_show(lines: list[TaxableLine]) -> None:
    vat = rate("0.19")
    inside = [
        TaxableLine(
            amount=each.amount,
            discount_share=each.discount_share,
            tax=LineTax((vat,), INCLUSIVE),
        )
        for each in lines
    ]
    tax = tax_of(inside, currency="USD")
    gross = sum((each.taxable for each in inside), Money.zero("USD"))
    assert sum((each.base + each.amount for each in tax.amounts), Money.zero("USD")) == gross
    assert tax.added == Money.zero("USD")


@given(LINES)
def test_r38_the_order_of_lines_changes_no_tax(lines: list[TaxableLine]) -> None:
    turned = list(reversed(lines))
    assert tax_of(turned, currency="USD") == tax_of(lines, currency="USD")


def test_amounts_of_several_documents_stay_rounded_each_by_itself() -> None:
    vat, gst = rate("0.20"), rate("0.05", "GST")
    first = tax_of([line("0.12", vat)], currency="USD").amounts
    second = tax_of([line("0.12", vat), line("1.00", gst)], currency="USD").amounts
    # 0.024 twice are 0.02 + 0.02; 0.24 together would have 0.05.
    merged = merged_amounts([first, second])
    assert [(each.rate, each.base, each.amount) for each in merged] == [
        (gst, money("1.00"), money("0.05")),
        (vat, money("0.24"), money("0.04")),
    ]
