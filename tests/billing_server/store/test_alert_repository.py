"""Alerts on both databases."""

from datetime import UTC, datetime

import pytest

from billing_server.domain.ports.alerts import AlertState, UnpricedSeries
from billing_server.domain.usage.instants import minute_from_instant
from billing_server.store.unit_of_work import SqlStore

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = minute_from_instant(NOON)


@pytest.fixture
def series(store: SqlStore) -> dict[str, int]:
    """Model to the number of its series."""
    keys = {model: ("acme", "tokens", f'{{"model":"{model}"}}') for model in ("new", "other")}
    with store.write() as unit:
        numbers = unit.usage.series_ids(list(keys.values()))
    return {model: numbers[key] for model, key in keys.items()}


def test_a_series_is_told_once_and_again_only_after_it_was_closed_r32(
    store: SqlStore, series: dict[str, int]
) -> None:
    found = UnpricedSeries("acme", series["new"], MINUTE)
    with store.write() as unit:
        unit.alerts.raise_unpriced([found])
        unit.alerts.raise_unpriced([found._replace(minute=MINUTE + 1)])
        (told,) = unit.alerts.page(limit=10)
    assert (told.customer_id, told.meter_key, told.dimensions) == (
        "acme",
        "tokens",
        {"model": "new"},
    )
    assert (told.usage_time, told.state) == (NOON, AlertState.OPEN)
    with store.write() as unit:
        unit.alerts.close([told.alert_id], close_time=NOON)
        unit.alerts.raise_unpriced([found])
    with store.read() as unit:
        states = [alert.state for alert in unit.alerts.page(limit=10)]
    assert states == [AlertState.CLOSED, AlertState.OPEN]


def test_alerts_come_in_pages_by_customer_and_state(
    store: SqlStore, series: dict[str, int]
) -> None:
    with store.write() as unit:
        unit.alerts.raise_unpriced(
            [UnpricedSeries("acme", number, MINUTE) for number in series.values()]
        )
        first, second = unit.alerts.page(limit=10)
        unit.alerts.close([first.alert_id], close_time=NOON)
        # A time of closing stands: closing again is no change.
        unit.alerts.close([first.alert_id], close_time=datetime(2027, 1, 1, tzinfo=UTC))
    with store.read() as unit:
        assert [each.alert_id for each in unit.alerts.page(limit=1)] == [first.alert_id]
        assert unit.alerts.page(after=first.alert_id, limit=10) == (second,)
        assert unit.alerts.page(state=AlertState.OPEN, limit=10) == (second,)
        (closed,) = unit.alerts.page(state=AlertState.CLOSED, limit=10)
        assert closed.close_time == NOON
        assert unit.alerts.page(customer_id="nobody", limit=10) == ()


def test_nothing_found_and_nothing_closed_writes_nothing(store: SqlStore) -> None:
    with store.write() as unit:
        unit.alerts.raise_unpriced([])
        unit.alerts.close([], close_time=NOON)
        assert unit.alerts.page(limit=10) == ()
