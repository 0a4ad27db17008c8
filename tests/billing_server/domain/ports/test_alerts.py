"""The port of alerts is implemented."""

from datetime import UTC, datetime

from billing_server.domain.ports.alerts import AlertRepository, AlertState, UnpricedAlert
from billing_server.store.alert_repository import SqlAlertRepository
from tests.billing_server.domain.ports.conformance import differences


def test_the_repository_has_every_method_of_its_port() -> None:
    assert differences(AlertRepository, SqlAlertRepository) == []


def test_an_alert_is_open_until_it_has_a_time_of_closing() -> None:
    usage_time = datetime(2026, 3, 1, tzinfo=UTC)
    open_alert = UnpricedAlert(1, "acme", "tokens", {}, usage_time, None)
    assert open_alert.state is AlertState.OPEN
    closed = UnpricedAlert(1, "acme", "tokens", {}, usage_time, usage_time)
    assert closed.state is AlertState.CLOSED
