"""The upcoming invoice is live, whole, and shows what has no price."""

import pytest

from billing_server.domain.subscription.model import Customer
from billing_server.services.create_customer import create_customer
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def test_it_grows_with_usage_and_shows_what_no_price_matches(store: SqlStore) -> None:
    """R32: usage of a model without a price is counted, rated 0 and shown."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    assert upcoming_invoice(context, customer_id="acme")["total"] == "20.00"
    usage.send("1500", at="2026-02-01T00:00:00Z")
    usage.send("77", at="2026-02-01T00:00:00Z", dimensions={"model": "new"})
    draft = upcoming_invoice(context, customer_id="acme")
    # 20.00 for the next period, and (1,500 − 1,000) × 0.01 = 5.00.
    assert (draft["state"], draft["number"], draft["total"]) == ("draft", None, "25.00")
    assert draft["unpriced"] == [
        {"meter": "tokens", "dimensions": {"model": "new"}, "quantity": "77", "unit": "token"}
    ]


def test_it_holds_all_subscriptions_together_or_one_alone(store: SqlStore) -> None:
    """A quantity is charged once: by the subscription that started first."""
    context = make_context(store)
    second = "  - {id: sub-2, customer: acme, plan: pro, start: 2026-02-10T00:00:00Z}\n"
    apply(context, CATALOG.rstrip() + "\n" + second)
    Usage(context).send("1500", at="2026-02-11T00:00:00Z")
    together = upcoming_invoice(context, customer_id="acme")
    alone = upcoming_invoice(context, customer_id="acme", subscription_id="sub-2")
    assert together["total"] == "45.00"
    assert {line["subscription"] for line in together["lines"]} == {"sub-1", "sub-2"}
    assert (alone["total"], alone["unpriced"]) == ("20.00", [])


def test_a_customer_without_subscription_has_nothing_to_pay(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG.split("customers:")[0])
    create_customer(context, customer=Customer(id="new"))
    Usage(context).send("9", at="2026-01-31T09:00:00Z", customer="new")
    draft = upcoming_invoice(context, customer_id="new")
    assert (draft["lines"], draft["total"], draft["currency"]) == ([], "0.00", None)
    assert [entry["quantity"] for entry in draft["unpriced"]] == ["9"]


def test_an_unknown_customer_is_told(store: SqlStore) -> None:
    with pytest.raises(NotFoundError):
        upcoming_invoice(make_context(store), customer_id="nobody")
