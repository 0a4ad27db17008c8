"""Subscriptions start on a whole minute, on the version on offer, and are invoiced in advance."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_server.domain.catalog.model import Plan, SubscriptionEntry
from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.domain.subscription.model import Customer
from billing_server.services.context import ServiceContext
from billing_server.services.create_customer import create_customer
from billing_server.services.create_subscription import create_subscription, plan_on_offer
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.run_due_work import run_due_work
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


def test_the_same_overrides_and_add_ons_again_are_no_change_and_others_are_refused(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    addon = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "2"}]}]'
    apply(context, CATALOG + addon)
    own = replace(ENTRY, addons=("help",), overrides={"base": {"amount": "10.00"}})
    create_subscription(context, entry=own)
    same = replace(own, overrides={"base": {"amount": "10"}})
    assert not create_subscription(context, entry=same).is_new
    assert not create_subscription(context, entry=ENTRY).is_new
    for change, message in (
        ({"overrides": {"base": {"amount": "9"}}}, "overrides is {base: {amount: 10}}, not"),
        ({"overrides": {"nothing": {"amount": "9"}}}, "not {nothing: {amount: 9}}: use another id"),
        ({"addons": ("help", "more")}, "addons is help, not help, more"),
    ):
        with pytest.raises(AlreadyExistsError, match=message):
            create_subscription(context, entry=replace(own, **change))  # type: ignore[arg-type]


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


def test_what_is_charged_of_earlier_usage_counts_against_the_customers_limits(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    own = CATALOG.split("subscriptions:", maxsplit=1)[0].replace(
        "currency: USD}", 'currency: USD, limits: [{key: cap, amount: "9", window: month}]}'
    )
    apply(context, own)
    Usage(context).send("1500", at="2026-01-31T10:00:00Z")

    def settled() -> list[int]:
        with memory_store.read() as unit:
            return [account.settled for account in unit.limits.accounts("acme")]

    assert settled() == [0]
    create_subscription(context, entry=replace(ENTRY, start=context.clock.now()))
    # 500 × 0.01 in micro-units of the currency.
    assert settled() == [5_000_000]


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


def test_a_call_issues_the_start_invoice_and_leaves_ended_periods_to_the_scheduler(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    context.work_added.clear()
    backdated = replace(ENTRY, start=parse_instant("2025-03-31T10:00:00Z"))
    create_subscription(context, entry=backdated)
    wanted = InvoiceFilter(subscription_id="sub-2")
    page = list_invoices(context, page=PageRequest(), wanted=wanted)
    assert [invoice["reason"] for invoice in page.entries] == ["start"]
    assert context.work_added.is_set()
    run_due_work(context)
    # Nine periods ended by 31 December, and an hour of grace ago; the tenth ends just now.
    page = list_invoices(context, page=PageRequest(), wanted=wanted)
    assert len(page.entries) == 1 + 9


def test_a_start_further_back_than_400_days_is_refused_naming_the_field(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    # 400 days before 2026-01-31T10:00Z.
    border = parse_instant("2024-12-27T10:00:00Z")
    with pytest.raises(ValidationError, match=r"start: .* more than 400 days back") as refused:
        create_subscription(context, entry=replace(ENTRY, start=border - timedelta(minutes=1)))
    assert refused.value.reason == "START_TOO_FAR_BACK"
    assert [each.field for each in refused.value.violations] == ["start"]
    assert create_subscription(context, entry=replace(ENTRY, start=border)).is_new


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


def _tokens(context: ServiceContext) -> list[tuple[str, str]]:
    """Returns the usage lines of everything issued and upcoming: (subscription, quantity)."""
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter())
    documents = [*page.entries, upcoming_invoice(context, customer_id="acme")]
    return [
        (line["subscription"], line["quantity"])
        for document in documents
        for line in document["lines"]
        if line["kind"] in {"usage", "late_usage"}
    ]


def test_r32_a_backdated_start_does_not_take_over_usage_that_was_invoiced(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    Usage(context).send("1500", at="2026-02-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-05T00:00:00Z"))
    entry = replace(ENTRY, start=parse_instant("2026-01-15T00:00:00Z"))
    with pytest.raises(InvalidStateError) as refused:
        create_subscription(context, entry=entry)
    assert refused.value.reason == "USAGE_INVOICED"
    assert refused.value.message == (
        "subscription 'sub-2': start: sub-1 has invoiced usage of tokens until "
        "2026-02-28T10:00:00Z; start this one at or after 2026-02-28T10:00:00Z"
    )
    # At that instant it may start; it comes after sub-1 and takes nothing from it.
    create_subscription(context, entry=replace(ENTRY, start=parse_instant("2026-02-28T10:00:00Z")))
    assert _tokens(context) == [("sub-1", "1500")]


def test_r32_a_backdated_start_is_free_where_no_meter_is_common(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    advance_clock(context, to=parse_instant("2026-03-05T00:00:00Z"))
    fee_only = "plans: [{key: fee, currency: USD, prices: [" + (
        '{key: fee, kind: recurring, amount: "1.00", bill: in_arrears}]}]'
    )
    apply(context, fee_only)
    entry = replace(ENTRY, plan_key="fee", start=parse_instant("2026-01-15T00:00:00Z"))
    assert create_subscription(context, entry=entry).is_new


def test_r32_a_later_made_subscription_of_the_same_minute_takes_running_usage_whole(
    store: SqlStore,
) -> None:
    """The smaller id goes first, and running charges are made anew: nothing stands twice."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    same_minute = parse_instant("2026-01-31T10:00:00Z")
    create_subscription(context, entry=replace(ENTRY, id="sub-0", start=same_minute))
    usage.send("10", at="2026-02-11T00:00:00Z")
    assert _tokens(context) == [("sub-0", "1510")]
    advance_clock(context, to=parse_instant("2026-02-28T11:00:00Z"))
    assert _tokens(context) == [("sub-0", "1510")]
    # What is invoiced now stays with sub-0, whatever starts in that minute.
    with pytest.raises(InvalidStateError):
        create_subscription(context, entry=replace(ENTRY, id="sub-", start=same_minute))
