"""Domain values as the JSON of the API."""

from billing_server.domain.subscription.model import Subscription
from billing_server.edge.http.convert import (
    all_to_json,
    instant_to_json,
    period_to_json,
    subscription_to_json,
)
from metering.clock import parse_instant
from metering.period import Period

START = parse_instant("2026-01-31T10:00:00Z")
END = parse_instant("2026-02-28T10:00:00Z")


def test_instants_and_periods_are_in_utc() -> None:
    assert instant_to_json(None) is None
    assert period_to_json(Period(START, END)) == {
        "start": "2026-01-31T10:00:00Z",
        "end": "2026-02-28T10:00:00Z",
    }


def test_a_subscription_that_has_not_begun_has_no_running_period() -> None:
    subscription = Subscription(
        id="sub-1", customer_id="acme", plan_key="pro", plan_version=3, start=START
    )
    shown = subscription_to_json(subscription, now=END, current=None, rating_failed_reason="broken")
    assert shown["rating_failed_reason"] == "broken"
    assert (shown["plan_version"], shown["end"], shown["current_period"]) == (3, None, None)
    assert (shown["quantities"], shown["changes"]) == ({}, {})


def test_a_list_of_one_page_has_no_cursor() -> None:
    assert all_to_json((1, 2), show=str) == {"data": ["1", "2"], "next_cursor": None}
