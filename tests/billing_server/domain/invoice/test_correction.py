"""Corrected charges beside invoiced ones."""

from datetime import UTC, datetime

from billing_server.domain.invoice.correction import (
    ChargedLine,
    Correction,
    Proposal,
    corrections_of,
)
from metering.money import Money
from metering.period import Period

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
FEBRUARY = Period(JANUARY.end, datetime(2026, 3, 1, tzinfo=UTC))


def usd(cents: int) -> Money:
    return Money(cents, "USD")


def line(price: str, period: Period, cents: int, number: str | None = None) -> ChargedLine:
    return ChargedLine(price, period, usd(cents), number)


def test_too_much_is_credited_on_every_invoice_that_charged_it_late_usage_among_it() -> None:
    invoiced = [
        line("tokens", JANUARY, 2500, "INV-000001"),
        line("tokens", JANUARY, 500, "INV-000002"),
    ]
    (found,) = corrections_of(invoiced, [line("tokens", JANUARY, 2000)], currency="USD")
    assert found == Correction(
        "tokens", JANUARY, ("INV-000001", "INV-000002"), usd(3000), usd(2000), usd(0)
    )
    assert (found.difference, found.proposal) == (usd(-1000), Proposal.CREDIT_NOTE)


def test_too_little_is_charged_and_what_is_right_is_left_out() -> None:
    invoiced = [
        line("base", JANUARY, 1000, "INV-000001"),
        line("seats", FEBRUARY, 70, "INV-000002"),
    ]
    corrected = [
        line("base", JANUARY, 1000),
        line("seats", FEBRUARY, 90),
        line("new", JANUARY, 5),
        line("new", FEBRUARY, 5),
    ]
    found = corrections_of(invoiced, corrected, currency="USD")
    assert [(each.period, each.price, each.difference) for each in found] == [
        (JANUARY, "new", usd(5)),
        (FEBRUARY, "new", usd(5)),
        (FEBRUARY, "seats", usd(20)),
    ]
    assert {each.proposal for each in found} == {Proposal.CHARGE}
    assert found[0].numbers == ()


def test_a_price_that_is_no_longer_charged_is_credited_whole() -> None:
    (found,) = corrections_of([line("old", JANUARY, 300, "INV-000001")], [], currency="USD")
    assert (found.corrected, found.difference) == (usd(0), usd(-300))


def test_late_usage_that_will_be_charged_anyhow_is_part_of_what_is_too_much() -> None:
    """10.00 invoiced, 2.00 late to come, and both should have cost 9.00: 3.00 too much."""
    (found,) = corrections_of(
        [line("tokens", JANUARY, 1000, "INV-000001")],
        [line("tokens", JANUARY, 900)],
        currency="USD",
        late=[line("tokens", JANUARY, 200)],
    )
    assert (found.late, found.difference) == (usd(200), usd(-300))
