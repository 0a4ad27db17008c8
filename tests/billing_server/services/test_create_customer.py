"""Customers are created once, and keep what their invoices rest on."""

import pytest

from billing_server.domain.subscription.model import Customer
from billing_server.services.create_customer import (
    CustomerChange,
    changed_fields,
    create_customer,
    put_customer,
)
from billing_server.services.list_customers import show_customer
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AlreadyExistsError, InvalidStateError
from tests.billing_server.world import CATALOG, apply, make_context

ACME = Customer(id="acme", name="Acme", currency="USD", timezone="Europe/Berlin", tax_id="DE1")


def test_a_created_customer_is_read_back_whole(store: SqlStore) -> None:
    context = make_context(store)
    create_customer(context, customer=ACME)
    assert show_customer(context, customer_id="acme") == ACME


def test_the_same_customer_again_is_no_change_and_another_is_refused(store: SqlStore) -> None:
    context = make_context(store)
    create_customer(context, customer=ACME)
    create_customer(context, customer=ACME)
    with pytest.raises(AlreadyExistsError, match="name, timezone") as refused:
        create_customer(context, customer=Customer(id="acme", currency="USD", tax_id="DE1"))
    assert refused.value.reason == "CUSTOMER_EXISTS"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Customer(id="acme", name="Acme", currency="EUR"), "CUSTOMER_CURRENCY_FIXED"),
        (
            Customer(id="acme", name="Acme", currency="USD", timezone="Asia/Tokyo"),
            "CUSTOMER_TIMEZONE_FIXED",
        ),
    ],
)
def test_currency_and_zone_stay_once_there_is_a_subscription(
    store: SqlStore, wanted: Customer, reason: str
) -> None:
    """R73."""
    context = make_context(store)
    apply(context, CATALOG)
    with store.write() as unit, pytest.raises(InvalidStateError) as refused:
        put_customer(unit, context=context, customer=wanted)
    assert refused.value.reason == reason


def test_a_customer_without_a_currency_keeps_the_one_that_a_plan_gave_it(store: SqlStore) -> None:
    context = make_context(store)
    without = CATALOG.replace("name: Acme, currency: USD", "name: Acme")
    apply(context, without)
    assert show_customer(context, customer_id="acme").currency == "USD"
    with store.write() as unit:
        change = put_customer(unit, context=context, customer=Customer(id="acme", name="Acme"))
    assert change is CustomerChange.NONE


def test_the_same_customer_again_is_no_change_after_a_plan_gave_it_a_currency(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG.replace("name: Acme, currency: USD", "name: Acme"))
    again = create_customer(context, customer=Customer(id="acme", name="Acme"))
    assert again == Customer(id="acme", name="Acme", currency="USD")
    with pytest.raises(AlreadyExistsError, match="another currency"):
        create_customer(context, customer=Customer(id="acme", name="Acme", currency="EUR"))


def test_the_fields_that_differ_are_named() -> None:
    assert changed_fields(ACME, wanted=Customer(id="acme", name="Acme", currency="USD")) == [
        "timezone",
        "tax_id",
    ]
