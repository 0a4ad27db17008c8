"""A period's usage is folded from buckets and assigned to prices."""

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.domain.rating.assignment import UsageKey
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.period_usage import fold_period, fold_unpriced, folded
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.period import Period
from tests.billing_server.world import CATALOG, Usage, apply, make_context

TOKENS = UsageKey("tokens")


FEBRUARY = Period(parse_instant("2026-01-31T10:00:00Z"), parse_instant("2026-02-28T10:00:00Z"))


def test_usage_is_charged_by_its_price_or_shown_as_unpriced(store: SqlStore) -> None:
    """R32: the sum over both is all that was used; R1: the borders are half-open."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1", at="2026-01-31T10:00:00Z")
    usage.send("20", at="2026-02-28T09:59:59.999999Z")
    usage.send("300", at="2026-02-01T00:00:00Z", dimensions={"model": "small"})
    usage.send("4000", at="2026-02-28T10:00:00Z")
    with store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        charged = fold_period(unit, terms=terms, subscription_id="sub-1", period=FEBRUARY)
        (unpriced,) = fold_unpriced(unit, terms=terms, period=FEBRUARY)
    assert charged.quantities == {TOKENS: 21}
    assert [row.quantity for row in charged.charge_rows()] == [21]
    assert (unpriced.quantity, unpriced.dimensions) == (300, {"model": "small"})


def test_series_are_folded_by_the_meter_s_aggregation() -> None:
    series = [
        SeriesUsage(1, "m", {}, total=5, maximum=4, event_count=2),
        SeriesUsage(2, "m", {}, total=7, maximum=7, event_count=1),
    ]
    meter = Meter(key="m", quantity="m")
    largest = Meter(key="m", quantity="m", aggregation=Aggregation.MAX)
    assert folded(series, meter=meter, span=FEBRUARY) == 12
    assert folded(series, meter=largest, span=FEBRUARY) == 7
    assert folded([], meter=largest, span=FEBRUARY) == 0
