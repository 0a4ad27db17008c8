"""Customers on both databases."""

from dataclasses import replace
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.domain.tax.rate import TaxExemption
from billing_server.store.tables import customer
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.catalog_rows import CUSTOMER, NOW

UNSAID = replace(CUSTOMER, id="unsaid", limits=None)


def test_a_customer_is_read_back_whole_and_changed(store: SqlStore) -> None:
    changed = replace(CUSTOMER, name="Other", email="a@example.com", currency=None)
    with store.write() as unit:
        unit.customers.add(CUSTOMER, create_time=NOW)
        assert unit.customers.get("acme") == CUSTOMER
        assert unit.customers.get("nobody") is None
        unit.customers.update(changed, update_time=NOW)
        assert unit.customers.get("acme") == changed


def test_its_own_limits_are_kept_and_that_none_were_named_too(store: SqlStore) -> None:
    limited = replace(
        CUSTOMER,
        limits=(Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8)),),
    )
    with store.write() as unit:
        for customer in (limited, replace(CUSTOMER, id="none", limits=()), UNSAID):
            unit.customers.add(customer, create_time=NOW)
            assert unit.customers.get(customer.id) == customer


def test_every_change_of_the_terms_advances_the_revision(store: SqlStore) -> None:
    with store.write() as unit:
        unit.customers.add(CUSTOMER, create_time=NOW)
        first = unit.usage.lock_customers({"acme"})["acme"]
        unit.customers.update(CUSTOMER, update_time=NOW)
        unit.customers.advance_revision("acme")
        assert unit.usage.lock_customers({"acme"})["acme"] == first + 2


def test_locking_takes_those_that_exist(store: SqlStore) -> None:
    with store.write() as unit:
        unit.customers.add(CUSTOMER, create_time=NOW)
        unit.customers.lock(["nobody", "acme", "acme"])


def test_a_page_begins_after_an_id(store: SqlStore) -> None:
    with store.write() as unit:
        for customer_id in ("c", "a", "b"):
            unit.customers.add(replace(CUSTOMER, id=customer_id), create_time=NOW)
        page = unit.customers.page(after="a", limit=1)
        assert [customer.id for customer in page] == ["b"]
        assert len(unit.customers.page(after=None, limit=9)) == 3


def test_where_it_is_taxed_is_kept_and_rows_from_before_say_nothing_of_it(store: SqlStore) -> None:
    taxed = replace(CUSTOMER, region="BY", tax_exempt=TaxExemption.EXEMPT)
    with store.write() as unit:
        unit.customers.add(taxed, create_time=NOW)
        assert unit.customers.get("acme") == taxed
        older = {"country": "DE", "tax_id": "DE1", "email": "", "purchase_order": ""}
        unit.connection.execute(customer.update().values(content=older))
        assert unit.customers.get("acme") == CUSTOMER
