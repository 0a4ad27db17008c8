"""What is shown of a running period is what a fold of it says."""

from billing_server.domain.rating.assignment import UsageKey
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.period_usage import fold_period
from billing_server.services.running_usage import levels_until_end, running_quantities
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.period import Period
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

APRIL = Period(parse_instant(START), parse_instant("2026-05-01T00:00:00Z"))
WITHOUT_LEVELS = METERS.replace(
    '      - {key: gb, kind: usage, meter: gb, model: per_unit, unit_price: "1"}\n', ""
)


def test_running_charges_tell_the_quantities_that_a_fold_tells(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, WITHOUT_LEVELS)
    sender = Sender(context)
    for value in ("4", "5"):
        names = ("tokens", "calls", "peak", "seats", "rating")
        sender.send(dict.fromkeys(names, value), at="2026-04-10T00:00:00Z", user=f"u{value}")
    with store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        timeline = terms.timelines["sub-1"]
        shown = running_quantities(
            unit, terms=terms, timeline=timeline, period=APRIL, at=context.clock.now()
        )
        folded = fold_period(unit, terms=terms, subscription_id="sub-1", period=APRIL)
    assert shown == folded.quantities
    assert {key.price_key: str(value) for key, value in shown.items()} == {
        "calls": "2",
        "peak": "5",
        "rating": "4.5",
        "seats": "5",
        "tokens": "9.00",
        "users": "2",
    }


def test_r19_levels_are_taken_as_they_will_be_at_the_end_and_all_else_as_it_is(
    store: SqlStore,
) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    sender.send({"gb": "30", "tokens": "7"}, at="2026-04-01T00:00:00Z", user="u1")
    now = parse_instant("2026-04-11T00:00:00Z")
    with store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        timeline = terms.timelines["sub-1"]
        shown = running_quantities(unit, terms=terms, timeline=timeline, period=APRIL, at=now)
        ahead = levels_until_end(
            unit, terms=terms, timeline=timeline, period=APRIL, quantities=shown
        )
        folded = fold_period(unit, terms=terms, subscription_id="sub-1", period=APRIL, at=APRIL.end)
    # 30 GB for 10 of 30 days so far, and for all of them if it holds.
    level = UsageKey("gb")
    assert (shown[level], ahead[level]) == (10, 30)
    assert ahead == folded.quantities
    assert {key: value for key, value in ahead.items() if key != level} == {
        key: value for key, value in shown.items() if key != level
    }
