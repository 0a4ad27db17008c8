"""Listing and showing customers."""

from billing_server.domain.subscription.model import Customer
from billing_server.services.context import ServiceContext
from billing_server.services.not_found import customer_not_found
from billing_server.services.pages import Page, PageRequest, page_from


def list_customers(context: ServiceContext, *, page: PageRequest) -> Page[Customer]:
    """List customers by id."""
    with context.store.read() as unit:
        found = unit.customers.page(after=page.after, limit=page.limit + 1)
    return page_from(found, request=page, key=lambda customer: customer.id)


def show_customer(context: ServiceContext, *, customer_id: str) -> Customer:
    """Return a customer.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        found = unit.customers.get(customer_id)
    if found is None:
        raise customer_not_found(customer_id)
    return found
