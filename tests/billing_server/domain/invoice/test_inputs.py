"""The hash of an invoice's inputs (R38)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from billing_server.domain.invoice.inputs import inputs_sha256
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import InvoiceReason
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.tax.rate import AppliedRate, LineTax, TaxBehavior
from metering.period import Period

INPUT = UsageKey("input")
SEATS = UsageKey("seats")


Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def digest(terms: BillingTerms, quantities: Mapping[UsageKey, Decimal], cause: str = "x") -> str:
    return inputs_sha256(
        terms,
        reason=InvoiceReason.PERIODIC,
        cause=cause,
        period=JANUARY,
        quantities=quantities,
    )


def test_r38_equal_values_have_one_hash_however_they_are_written(make_terms: Make) -> None:
    plain = digest(make_terms(), {INPUT: Decimal(10)})
    assert len(plain) == 64
    assert digest(make_terms(), {INPUT: Decimal("10.00"), SEATS: Decimal(0)}) == plain


def test_r38_every_input_is_in_the_hash(make_terms: Make) -> None:
    terms = make_terms()
    usage = {INPUT: Decimal(10)}
    customer = replace(terms.customer, name="Other")
    variants = [
        digest(terms, usage),
        digest(terms, {INPUT: Decimal(11)}),
        digest(terms, {UsageKey("input", 1): Decimal(10)}),
        digest(terms, usage, cause="y"),
        digest(replace(terms, customer=customer), usage),
        digest(replace(terms, seller={}), usage),
        digest(replace(terms, meters={}), usage),
        digest(make_terms(start=datetime(2025, 1, 1, tzinfo=UTC)), usage),
        digest(make_terms(timezone="Asia/Tokyo"), usage),
    ]
    assert len(set(variants)) == len(variants)


def test_r38_the_rates_that_were_chosen_are_in_the_hash_and_no_rate_leaves_it_as_it_was(
    make_terms: Make,
) -> None:
    def of(*fractions: str, behavior: TaxBehavior = TaxBehavior.EXCLUSIVE) -> str:
        rates = [
            AppliedRate(key="vat", name="VAT", rate=Decimal(fraction)) for fraction in fractions
        ]
        return inputs_sha256(
            make_terms(),
            reason=InvoiceReason.PERIODIC,
            cause="x",
            period=JANUARY,
            quantities={},
            taxes={"line": LineTax(tuple(rates), behavior)} if rates else {},
        )

    assert of() == digest(make_terms(), {})
    assert of("0.190") == of("0.19")
    assert len({of(), of("0.19"), of("0.2"), of("0.19", behavior=TaxBehavior.INCLUSIVE)}) == 4
