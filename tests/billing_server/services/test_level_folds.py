"""Time-weighted levels are folded from what each event brought. On both databases."""

from fractions import Fraction

from billing_server.domain.rating.assignment import UsageKey
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.level_folds import fold_levels
from billing_server.services.move_clock import advance_clock
from billing_server.services.period_usage import fold_period
from billing_server.services.query_usage import UsageQuery, query_usage
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.period import Period
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

APRIL = Period(parse_instant(START), parse_instant("2026-05-01T00:00:00Z"))
MAY = Period(APRIL.end, parse_instant("2026-06-01T00:00:00Z"))


def test_r19_a_level_is_weighted_by_time_and_carried_over_the_border(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    sender.send({"gb": "20"}, at="2026-04-11T00:00:00Z")
    sender.send({"gb": "10"}, at="2026-04-01T00:00:00Z")
    with store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        april, may = (
            fold_period(unit, terms=terms, subscription_id="sub-1", period=period).quantities
            for period in (APRIL, MAY)
        )
        (half,) = fold_levels(
            unit,
            "acme",
            meter=terms.meters["gb"],
            span=MAY,
            at=parse_instant("2026-05-02T00:00:00Z"),
        )
    # 10 × 10 days and 20 × 20 days of 30; then 20 for the whole of May.
    gb = UsageKey("gb")
    assert (april[gb], may[gb]) == (Fraction(50, 3), 20)
    assert half.level_time == 20 * 86_400 * 1_000_000


def test_a_level_grows_as_long_as_it_holds_and_is_shown_as_of_now(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    Sender(context).send({"gb": "30"}, at=START)
    totals = []
    for now in ("2026-04-02T00:00:00Z", "2026-04-16T00:00:00Z"):
        advance_clock(context, to=parse_instant(now))
        totals.append(upcoming_invoice(context, customer_id="acme")["total"])
    # 30 GB for 1 and for 15 of 30 days.
    assert totals == ["1.00", "15.00"]


def test_each_series_holds_its_own_level_and_they_add_up(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    sender.send({"gb": "10"}, at=START, disk="a")
    sender.send({"gb": "5"}, at=START, disk="b")
    query = UsageQuery("acme", "gb", APRIL.start, APRIL.end, group_by=("disk",))
    groups = query_usage(context, query=query).groups
    assert [(group.dimensions["disk"], group.quantity) for group in groups] == [("a", 10), ("b", 5)]
    (whole,) = query_usage(context, query=UsageQuery("acme", "gb", *_span(APRIL))).groups
    assert whole.quantity == 15


def _span(period: Period) -> tuple:  # type: ignore[type-arg]
    return period.start, period.end
