"""Customers are listed by id and shown."""

import pytest

from billing_server.domain.subscription.model import Customer
from billing_server.services.create_customer import create_customer
from billing_server.services.list_customers import list_customers, show_customer
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError
from tests.billing_server.world import make_context


def test_customers_are_listed_by_the_bytes_of_their_ids(store: SqlStore) -> None:
    context = make_context(store)
    for customer_id in ("b", "ä", "B", "a"):
        create_customer(context, customer=Customer(id=customer_id))
    first = list_customers(context, page=PageRequest(limit=3))
    rest = list_customers(context, page=PageRequest(limit=3, cursor=first.next_cursor))
    assert [customer.id for customer in first.entries] == ["B", "a", "b"]
    assert [customer.id for customer in rest.entries] == ["ä"]


def test_an_unknown_customer_is_told(store: SqlStore) -> None:
    with pytest.raises(NotFoundError) as refused:
        show_customer(make_context(store), customer_id="nobody")
    assert refused.value.reason == "CUSTOMER_NOT_FOUND"
