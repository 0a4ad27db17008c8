"""What would make issued invoices right, however many they are, late usage among it."""

from datetime import datetime

from billing_server.domain.invoice.correction import Correction
from billing_server.services.change_terms import timeline_of
from billing_server.services.context import ServiceContext
from billing_server.services.correct_invoices import correct_invoices, ended_periods
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.move_clock import advance_clock
from billing_server.services.move_version import with_move
from billing_server.store.unit_of_work import SqlStore
from metering.clock import format_instant, parse_instant
from metering.money import Money
from tests.billing_server.world import Usage, apply, make_context

START = parse_instant("2026-01-01T00:00:00Z")
CATALOG = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    billing_period: PERIOD
    anchor: calendar
    minimum_spend: "50"
    prices:
      - {key: base, kind: recurring, amount: "20.00", bill: in_advance}
      - {key: tokens, kind: usage, meter: tokens, model: per_unit, unit_price: "0.01"}
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: pro, start: 2026-01-01T00:00:00Z}]
"""


def started(store: SqlStore, *, period: str) -> Usage:
    context = make_context(store, start="2026-01-01T00:00:00Z")
    apply(context, CATALOG.replace("PERIOD", period))
    return Usage(context)


def corrections(
    context: ServiceContext, *, until: str, start: datetime = START
) -> tuple[Correction, ...]:
    """Returns what is owed if the plan had been as it is now from an instant on."""
    with context.store.read() as unit:
        (subscription,) = unit.subscriptions.of_customer("acme")
        corrected = timeline_of(unit, subscription=with_move(subscription, version=2, start=start))
        return correct_invoices(
            unit,
            terms=load_customer_terms(unit, customer_id="acme"),
            corrected=corrected,
            start=start,
            until=parse_instant(until),
        )


def told(found: tuple[Correction, ...]) -> list[tuple[str, str, str]]:
    return [
        (format_instant(each.period.start)[5:10], each.price, each.difference.decimal_string())
        for each in found
    ]


def test_a_minimum_makes_up_for_what_the_corrected_fee_in_advance_and_usage_come_to(
    memory_store: SqlStore,
) -> None:
    """20 + 5.00 + 25.00 missing were invoiced for January; 25 + 2.00 + 23.00 are right."""
    usage = started(memory_store, period="month")
    usage.send("500", at="2026-01-10T00:00:00Z")
    advance_clock(usage.context, to=parse_instant("2026-03-01T02:00:00Z"))
    apply(
        usage.context,
        CATALOG.replace("PERIOD", "month").replace('"0.01"', '"0.004"').replace('"20.00"', '"25"'),
    )
    assert told(corrections(usage.context, until="2026-03-01T00:00:00Z")) == [
        ("01-01", "base", "5.00"),
        ("01-01", "minimum_spend", "-2.00"),
        ("01-01", "tokens", "-3.00"),
        # February: 20 and 30 missing were invoiced, 25 and 25 are right.
        ("02-01", "base", "5.00"),
        ("02-01", "minimum_spend", "-5.00"),
        # March's fee stands on the invoice of February.
        ("03-01", "base", "5.00"),
    ]


def test_a_fee_in_arrears_of_a_longer_period_than_the_plans_is_corrected_in_the_part_since(
    memory_store: SqlStore,
) -> None:
    """Four weeks of 7 days at 28.00; from the 15th on 56.00 are right: 14.00 and 28.00."""
    fee = '{key: long, kind: recurring, amount: "28", bill: in_arrears, billing_period: LONG}'
    catalog = CATALOG.replace("PERIOD", "week").replace("minimum_spend", "# minimum_spend")
    catalog = catalog.replace("calendar", "anniversary").replace(
        "prices:\n", f"prices:\n      - {fee.replace('LONG', '{every: 4, unit: week}')}\n"
    )
    context = make_context(memory_store, start="2026-01-01T00:00:00Z")
    apply(context, catalog)
    advance_clock(context, to=parse_instant("2026-01-29T02:00:00Z"))
    apply(context, catalog.replace('"28"', '"56"'))
    until = "2026-01-29T00:00:00Z"
    since = corrections(context, until=until, start=parse_instant("2026-01-15T00:00:00Z"))
    assert told(since) == [("01-01", "long", "14.00")]
    (correction,) = since
    assert (correction.invoiced.decimal_string(), correction.corrected.decimal_string()) == (
        "28.00",
        "42.00",
    )
    assert told(corrections(context, until=until)) == [("01-01", "long", "28.00")]
    # What is behind the instant is right, the running four weeks are not invoiced.
    ended = parse_instant(until)
    assert corrections(context, until=until, start=ended) == ()


def test_late_usage_that_is_still_to_be_charged_is_not_charged_twice(
    memory_store: SqlStore,
) -> None:
    """6,000 tokens were invoiced at 60.00, and 1,000 late ones will cost 10.00 more.

    All 7,000 should have cost 28.00, and 2.00 to the minimum with the fee of 20: 40.00 too much for
    tokens, of which 60 − 28 + 10 = 42.00 come off, and 2.00 come on.
    """
    usage = started(memory_store, period="month")
    usage.send("6000", at="2026-01-10T00:00:00Z")
    advance_clock(usage.context, to=parse_instant("2026-02-01T02:00:00Z"))
    usage.send("1000", at="2026-01-20T00:00:00Z", event_id="late")
    apply(usage.context, CATALOG.replace("PERIOD", "month").replace('"0.01"', '"0.004"'))
    found = corrections(usage.context, until="2026-02-01T00:00:00Z")
    assert told(found) == [("01-01", "minimum_spend", "2.00"), ("01-01", "tokens", "-42.00")]
    tokens = found[1]
    assert (tokens.invoiced.decimal_string(), tokens.late.decimal_string()) == ("60.00", "10.00")
    # Once it is invoiced, the proposal is the same.
    advance_clock(usage.context, to=parse_instant("2026-03-01T02:00:00Z"))
    again = corrections(usage.context, until="2026-02-01T00:00:00Z")
    assert told(again)[:2] == told(found)
    assert (again[1].invoiced.decimal_string(), again[1].late.decimal_string()) == ("70.00", "0.00")


def test_every_ended_period_is_rated_however_many_there_are(memory_store: SqlStore) -> None:
    usage = started(memory_store, period="day")
    for day in ("2026-01-05", "2026-03-20"):
        usage.send("5000", at=f"{day}T12:00:00Z")
    until = "2026-03-22T00:00:00Z"
    advance_clock(usage.context, to=parse_instant("2026-03-22T02:00:00Z"))
    apply(usage.context, CATALOG.replace("PERIOD", "day").replace('"0.01"', '"0.02"'))
    # 80 days: what was right is right on the 79th as on the 5th. 20 + 50.00, then 20 + 100.00.
    assert told(corrections(usage.context, until=until)) == [
        ("01-05", "tokens", "50.00"),
        ("03-20", "tokens", "50.00"),
    ]


def test_the_period_before_is_rated_for_its_fees_in_advance(memory_store: SqlStore) -> None:
    usage = started(memory_store, period="day")
    with usage.context.store.read() as unit:
        (subscription,) = unit.subscriptions.of_customer("acme")
        timeline = timeline_of(unit, subscription=subscription)

    def starts(start: datetime) -> list[int]:
        until = parse_instant("2026-01-06T00:00:00Z")
        return [each.start.day for each in ended_periods(timeline, start=start, until=until)]

    assert starts(parse_instant("2026-01-04T00:00:00Z")) == [3, 4, 5]
    assert starts(parse_instant("2026-01-04T00:01:00Z")) == [3, 4, 5]
    # The period that runs has its fee on the invoice of the last one.
    assert starts(parse_instant("2026-01-06T12:00:00Z")) == [5]
    assert starts(parse_instant("2025-12-31T12:00:00Z")) == [1, 2, 3, 4, 5]
    assert starts(parse_instant("2026-01-07T00:00:00Z")) == []


def test_r44_proposed_credit_notes_carry_the_tax_of_their_invoices(memory_store: SqlStore) -> None:
    taxed = CATALOG.replace("PERIOD", "month").replace("{id: acme}", "{id: acme, country: DE}")
    taxed += 'tax_rates: [{key: vat, name: VAT, rate: "%s", country: DE}]\n'
    context = make_context(memory_store, start="2026-01-01T00:00:00Z")
    apply(context, taxed % "0.19")
    Usage(context).send("6000", at="2026-01-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-01T02:00:00Z"))
    apply(context, taxed.replace('"0.01"', '"0.004"') % "0.25")
    found = corrections(context, until="2026-02-01T00:00:00Z")
    # 60.00 became 24.00, and 6.00 are missing to the minimum: 19 % of 36.00 go back.
    assert [(each.price, each.difference.decimal_string(), each.tax) for each in found] == [
        ("minimum_spend", "6.00", None),
        ("tokens", "-36.00", Money(-684, "USD")),
    ]
