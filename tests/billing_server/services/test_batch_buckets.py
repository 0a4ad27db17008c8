"""Events of a minute become one state a series, whatever their order."""

from billing_server.services.batch_buckets import money_of
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context


def buckets(store: SqlStore) -> dict[str, tuple[int, int]]:
    """Returns meter key to value and event count of the one bucket that it has."""
    statement = (
        "SELECT meter_key, value, event_count FROM usage_bucket JOIN usage_series "
        "ON usage_series.series_id = usage_bucket.series_id"
    )
    with store.read() as unit:
        rows = unit.connection.exec_driver_sql(statement).all()
    return {key: (value, count) for key, value, count in rows}


def test_a_bucket_keeps_what_its_aggregation_needs(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    late, early = "2026-04-01T00:00:50Z", "2026-04-01T00:00:10Z"
    for at, value in ((late, "3"), (early, "5")):
        names = ("tokens", "calls", "peak", "seats", "rating", "gb")
        sender.send(dict.fromkeys(names, value), at=at, user="u1")
    assert buckets(store) == {
        "tokens": (800, 2),  # Hundredths.
        "calls": (2, 2),
        "peak": (5, 2),
        "seats": (3, 2),  # The later one came first.
        "rating": (80, 2),  # Tenths.
        "users": (1, 2),
        "gb": (3, 2),
    }


def test_the_quantities_that_prices_read_as_money_are_kept_with_an_event() -> None:
    quantities = {"tokens": "5", "cost": "0.5"}
    assert money_of(quantities, names=frozenset({"cost", "fee"})) == '{"cost":"0.5"}'
    assert money_of(quantities, names=frozenset({"fee"})) is None
    assert money_of(quantities, names=frozenset()) is None
