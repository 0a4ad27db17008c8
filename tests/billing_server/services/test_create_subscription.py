"""Subscriptions start on a whole minute, on the version on offer, and are invoiced in advance."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_server.domain.catalog.model import Plan, SubscriptionEntry
from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.domain.subscription.model import Customer
from billing_server.services.create_customer import create_customer
from billing_server.services.create_subscription import create_subscription, plan_on_offer
from billing_server.services.list_invoices import list_invoices
from billing_server.services.pages import PageRequest
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import AlreadyExistsError, InvalidStateError, NotFoundError, ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context

ENTRY = SubscriptionEntry(
    id="sub-2",
    customer_id="acme",
    plan_key="pro",
    start=parse_instant("2026-01-31T09:59:59.9Z"),
)


def test_a_subscription_starts_on_its_minute_and_its_fee_is_invoiced_at_once(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    made = create_subscription(context, entry=ENTRY)
    assert made.is_new
    assert made.subscription.start == parse_instant("2026-01-31T09:59:00Z")
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter(subscription_id="sub-2"))
    assert [invoice["reason"] for invoice in page.entries] == ["start"]


def test_the_same_subscription_again_is_no_change(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    create_subscription(context, entry=ENTRY)
    again = create_subscription(context, entry=replace(ENTRY, start=None))
    assert not again.is_new


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer_id": "other"}, "customer"),
        ({"plan_key": "max"}, "plan"),
        ({"start": ENTRY.start + timedelta(minutes=5) if ENTRY.start else None}, "start"),
        ({"anchor": parse_instant("2026-01-01T00:00:00Z")}, "anchor"),
    ],
)
def test_another_subscription_under_the_same_id_is_refused_naming_the_field(
    store: SqlStore, change: dict[str, object], field: str
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    create_subscription(context, entry=ENTRY)
    with pytest.raises(AlreadyExistsError) as refused:
        create_subscription(context, entry=replace(ENTRY, **change))
    assert refused.value.metadata["field"] == field


def test_an_unknown_customer_plan_or_another_currency_is_refused(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    with pytest.raises(NotFoundError) as no_customer:
        create_subscription(context, entry=replace(ENTRY, customer_id="nobody"))
    with pytest.raises(NotFoundError) as no_plan:
        create_subscription(context, entry=replace(ENTRY, plan_key="nothing"))
    create_customer(context, customer=Customer(id="euro", currency="EUR"))
    with pytest.raises(InvalidStateError) as other_currency:
        create_subscription(context, entry=replace(ENTRY, customer_id="euro"))
    assert [error.value.reason for error in (no_customer, no_plan, other_currency)] == [
        "CUSTOMER_NOT_FOUND",
        "PLAN_NOT_FOUND",
        "CURRENCY_MISMATCH",
    ]


def test_usage_from_before_the_server_heard_of_the_subscription_is_charged(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG.split("subscriptions:")[0])
    Usage(context).send("1500", at="2026-02-01T00:00:00Z")
    entry = replace(ENTRY, start=parse_instant("2026-01-31T10:00:00Z"))
    create_subscription(context, entry=entry)
    lines = upcoming_invoice(context, customer_id="acme")["lines"]
    assert [(line["price"], line["amount"]) for line in lines] == [
        ("base", "20.00"),
        ("tokens", "5.00"),
    ]


def test_the_version_on_offer_is_the_newest_in_force_at_the_start() -> None:
    january, march = parse_instant("2026-01-01T00:00:00Z"), parse_instant("2026-03-01T00:00:00Z")
    versions = [
        Plan(key="pro", version=1, currency="USD", effective_from=january),
        Plan(key="pro", version=2, currency="USD", effective_from=march),
    ]

    def on_offer(text: str) -> int | None:
        found = plan_on_offer(versions, at=parse_instant(text))
        return None if found is None else found.version

    assert on_offer("2026-02-28T23:59:00Z") == 1
    assert on_offer("2026-03-01T00:00:00Z") == 2
    # Before any version was in force, the first one is what was subscribed to.
    assert on_offer("2025-01-01T00:00:00Z") == 1
    assert plan_on_offer([], at=january) is None


@pytest.mark.parametrize("field", ["start", "anchor"])
@pytest.mark.parametrize("text", ["0206-01-31T00:00:00Z", "9999-12-31T23:59:00Z"])
def test_a_mistyped_year_is_refused(memory_store: SqlStore, field: str, text: str) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    with pytest.raises(ValidationError) as refused:
        create_subscription(context, entry=replace(ENTRY, **{field: parse_instant(text)}))
    assert (refused.value.reason, refused.value.metadata["field"]) == (
        "INSTANT_OUT_OF_RANGE",
        field,
    )
