"""A customer's terms are read together."""

import pytest

from billing_server.services.customer_terms import load_customer_terms
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, apply, make_context


def test_terms_hold_customer_meters_and_subscriptions_earliest_first(store: SqlStore) -> None:
    context = make_context(store)
    earlier = "  - {id: a-later-id, customer: acme, plan: pro, start: 2026-01-01T00:00:00Z}\n"
    apply(context, CATALOG.rstrip() + "\n" + earlier)
    with store.read() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
    assert list(terms.timelines) == ["a-later-id", "sub-1"]
    assert set(terms.meters) == {"tokens"}
    subscribed = terms.of_subscription("sub-1")
    assert (subscribed.customer.id, subscribed.plan.key) == ("acme", "pro")


def test_an_unknown_customer_is_told(store: SqlStore) -> None:
    with store.read() as unit, pytest.raises(NotFoundError):
        load_customer_terms(unit, customer_id="nobody")
