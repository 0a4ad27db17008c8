"""Correcting a wrong price: open periods anew, invoiced ones by proposals."""

import pytest

from billing_server.domain.invoice.correction import Proposal
from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services import reprice_plan as module
from billing_server.services.context import ServiceContext
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.reprice_plan import (
    Repriced,
    RepricedSubscription,
    RepriceMode,
    RepriceWish,
    reprice_plan,
)
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import format_instant, parse_instant
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, Usage, apply, make_context

START = "2026-01-31T10:00:00Z"
MARCH = "2026-03-01T00:00:00Z"
APRIL = "2026-04-02T00:00:00Z"
CORRECTED = CATALOG.replace('"0.01"', '"0.004"').replace('"20.00"', '"25.00"')
"""Tokens at 0.004 in place of 0.01, and a fee of 25.00 in place of 20.00."""


@pytest.fixture
def usage(store: SqlStore) -> Usage:
    context = make_context(store)
    apply(context, CATALOG)
    return Usage(context)


@pytest.fixture
def context(usage: Usage) -> ServiceContext:
    """Acme: 1,500 tokens invoiced in February at 0.01, 2,000 used in March so far."""
    context = usage.context
    usage.send("1500", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(MARCH))
    usage.send("2000", at="2026-03-02T00:00:00Z")
    apply(context, CORRECTED)
    return context


def reprice(
    context: ServiceContext, *, start: str = START, mode: RepriceMode = RepriceMode.DRY_RUN
) -> RepricedSubscription:
    wish = RepriceWish(plan_key="pro", start=parse_instant(start))
    (found,) = reprice_plan(context, wish=wish, mode=mode).results
    return found


def proposals(found: RepricedSubscription) -> list[tuple[str, str, tuple[str, ...], str, Proposal]]:
    return [
        (
            each.price,
            format_instant(each.period.start),
            each.numbers,
            each.difference.decimal_string(),
            each.proposal,
        )
        for each in found.corrections
    ]


def test_only_subscriptions_of_the_wrong_version_are_corrected_where_it_is_named(
    context: ServiceContext,
) -> None:
    def told(start: str, of_version: int) -> int:
        wish = RepriceWish(plan_key="pro", start=parse_instant(start), of_version=of_version)
        return len(reprice_plan(context, wish=wish).results)

    # Acme stayed on version 1 when version 2 came.
    assert (told(START, 1), told(START, 2)) == (1, 0)
    moved = RepriceWish(plan_key="pro", start=parse_instant(MARCH))
    reprice_plan(context, wish=moved, mode=RepriceMode.APPLY)
    assert (told(START, 1), told(START, 2)) == (1, 1)
    assert (told(MARCH, 1), told(MARCH, 2)) == (0, 1)


def test_invoiced_periods_are_told_with_what_makes_them_right(context: ServiceContext) -> None:
    found = reprice(context)
    # Fees of 20.00 should have been 25.00: that of the first period stands on the start invoice,
    # that of the second on the first period's. 500 tokens cost 5.00 and should have cost 2.00.
    assert proposals(found) == [
        ("base", START, ("INV-000001",), "5.00", Proposal.CHARGE),
        ("tokens", START, ("INV-000002",), "-3.00", Proposal.CREDIT_NOTE),
        ("base", "2026-02-28T10:00:00Z", ("INV-000002",), "5.00", Proposal.CHARGE),
    ]
    (running,) = found.open_periods
    # 1,000 × 0.01 and the next fee of 20.00; then 1,000 × 0.004 and one of 25.00.
    assert (running.before.decimal_string(), running.after.decimal_string()) == ("30.00", "29.00")
    assert (found.applied_from, found.refusal, found.to_version) == (None, None, 2)


def test_a_dry_run_changes_nothing(context: ServiceContext) -> None:
    before = upcoming_invoice(context, customer_id="acme")
    reprice(context)
    assert upcoming_invoice(context, customer_id="acme") == before


def test_applied_it_prices_open_periods_anew_and_touches_no_invoice_r66(
    context: ServiceContext,
) -> None:
    everything = PageRequest()
    issued = list_invoices(context, page=everything, wanted=InvoiceFilter()).entries
    found = reprice(context, mode=RepriceMode.APPLY)
    assert found.applied_from == parse_instant("2026-02-28T10:00:00Z")
    upcoming = upcoming_invoice(context, customer_id="acme")
    assert upcoming["total"] == "29.00"
    assert list_invoices(context, page=everything, wanted=InvoiceFilter()).entries == issued
    # Told again, the open period is right, and the proposals are the same.
    again = reprice(context)
    assert again.open_periods[0].before == again.open_periods[0].after
    assert proposals(again) == proposals(found)


def test_late_usage_of_an_invoiced_period_keeps_that_periods_price_r37(
    context: ServiceContext, usage: Usage
) -> None:
    reprice(context, mode=RepriceMode.APPLY)
    usage.send("100", at="2026-02-10T00:00:00Z", event_id="late")
    # 100 × 0.01 more for February, beside 29.00 for March.
    assert upcoming_invoice(context, customer_id="acme")["total"] == "30.00"


def test_only_what_was_used_since_the_instant_is_corrected(context: ServiceContext) -> None:
    found = reprice(context, start="2026-02-28T10:00:00Z")
    assert proposals(found) == [
        ("base", "2026-02-28T10:00:00Z", ("INV-000002",), "5.00", Proposal.CHARGE)
    ]


@pytest.mark.parametrize("start", ["2026-02-20T00:00:00Z", "2026-03-10T00:00:00Z", APRIL])
def test_a_fee_in_advance_that_did_not_change_is_right_wherever_in_its_period_the_instant_lies_r37(
    memory_store: SqlStore, start: str
) -> None:
    """In the first period, in the second and in the one that runs; nothing was used."""
    context = make_context(memory_store)
    apply(context, CATALOG)
    advance_clock(context, to=parse_instant(APRIL))
    apply(context, CATALOG.replace('"0.01"', '"0.004"'))
    assert proposals(reprice(context, start=start)) == []
    apply(context, CORRECTED)
    # A fee goes by the terms at the start of its period: only what begins later is corrected.
    found = proposals(reprice(context, start=start))
    later = {"2026-02-20T00:00:00Z": 2, "2026-03-10T00:00:00Z": 1, APRIL: 0}
    assert [each[:1] + each[3:] for each in found] == [("base", "5.00", Proposal.CHARGE)] * later[
        start
    ]


def test_a_subscription_that_ended_before_is_left_out_and_pages_go_on(
    context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(
        context,
        "customers: [{id: beta}]\n"
        "subscriptions: [{id: sub-2, customer: beta, plan: pro, start: 2026-02-20T00:00:00Z}]",
    )
    monkeypatch.setattr(module, "SUBSCRIPTIONS_MAX", 1)
    wish = RepriceWish(plan_key="pro", start=parse_instant(START))
    first = reprice_plan(context, wish=wish)
    assert [each.subscription_id for each in first.results] == ["sub-1"]
    second = reprice_plan(context, wish=wish, after=first.next_after)
    assert [each.subscription_id for each in second.results] == ["sub-2"]
    # It started on the version that was on offer then, and has used nothing.
    assert [each.price for each in second.results[0].corrections] == ["base"]
    assert reprice_plan(context, wish=wish, after=second.next_after) == Repriced((), None)


def test_a_call_ends_behind_the_subscription_with_which_it_has_rated_enough(
    context: ServiceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(
        context,
        "customers: [{id: beta}]\n"
        "subscriptions: [{id: sub-2, customer: beta, plan: pro, start: 2026-02-20T00:00:00Z}]",
    )
    monkeypatch.setattr(module, "PERIODS_MAX", 1)
    wish = RepriceWish(plan_key="pro", start=parse_instant(START))
    first = reprice_plan(context, wish=wish)
    assert [(each.subscription_id, each.rated_count) for each in first.results] == [("sub-1", 1)]
    assert first.next_after == "sub-1"
    second = reprice_plan(context, wish=wish, after=first.next_after)
    assert [each.subscription_id for each in second.results] == ["sub-2"]


def test_a_plan_or_version_that_is_not_there_is_told(context: ServiceContext) -> None:
    start = parse_instant(START)
    with pytest.raises(NotFoundError, match="no plan 'gone'"):
        reprice_plan(context, wish=RepriceWish(plan_key="gone", start=start))
    with pytest.raises(NotFoundError, match="its versions are 1 to 2"):
        reprice_plan(context, wish=RepriceWish(plan_key="pro", start=start, version=7))
    with pytest.raises(NotFoundError, match="has no version 7; its versions are 1 to 2"):
        reprice_plan(context, wish=RepriceWish(plan_key="pro", start=start, of_version=7))


def test_a_version_named_goes_before_the_newest(context: ServiceContext) -> None:
    wish = RepriceWish(plan_key="pro", start=parse_instant(START), version=1)
    (found,) = reprice_plan(context, wish=wish).results
    assert (found.to_version, found.corrections) == (1, ())
