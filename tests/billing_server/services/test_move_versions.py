"""Added prices reach running subscriptions; whatever else changes does not. On both databases."""

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.apply_catalog import ApplyMode, apply_catalog
from billing_server.services.context import ServiceContext
from billing_server.services.limit_views import show_limits
from billing_server.services.list_invoices import list_invoices
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.move_version import MoveWish, move_version
from billing_server.services.pages import PageRequest
from billing_server.services.plan_catalog import CatalogSource
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context

NEW_PRICE = """
      - {key: new, kind: usage, meter: tokens, where: {model: new}, model: per_unit,
         unit_price: "1"}
"""


def _with_new_price(effective_from: str | None = "2026-01-01T00:00:00Z") -> str:
    added = CATALOG.replace("customers:", NEW_PRICE.strip("\n") + "\ncustomers:")
    if effective_from is None:
        return added
    return added.replace(
        "    name: Pro\n", f"    name: Pro\n    effective_from: {effective_from}\n"
    )


def _described(
    context: ServiceContext, text: str, *, mode: ApplyMode = ApplyMode.APPLY
) -> list[str]:
    changes = apply_catalog(context, sources=[CatalogSource("c.yaml", text)], mode=mode).changes
    (plan,) = [change for change in changes if change.kind == "plan"]
    return [line.strip() for line in plan.description.split("\n") if "subscription" in line]


def _move(context: ServiceContext, text: str) -> None:
    advance_clock(context, to=parse_instant(text))


def test_r32_unpriced_usage_of_the_open_period_is_priced_by_an_added_price(
    store: SqlStore,
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    moves = ["1 subscription moves to version 2: open periods are priced anew"]
    assert _described(context, _with_new_price(), mode=ApplyMode.DRY_RUN) == moves
    assert show_subscription(context, subscription_id="sub-1").plan_version == 1
    assert _described(context, _with_new_price()) == moves
    draft = upcoming_invoice(context, customer_id="acme")
    assert draft["unpriced"] == []
    # 20.00 in advance and 5 × 1.00.
    assert draft["total"] == "25.00"
    usage.send("1", at="2026-02-03T00:00:00Z", dimensions={"model": "new"})
    _move(context, "2026-02-28T11:00:00Z")
    (invoice,) = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter()).entries[1:]
    assert [(line["price"], line["quantity"]) for line in invoice["lines"]] == [
        ("base", "1"),
        ("new", "6"),
    ]


def test_an_added_price_counts_against_a_spend_cap(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    capped = '{key: cap, amount: "50.00", window: billing_period}'
    limited = CATALOG.replace("    prices:", f"    limits: [{capped}]\n    prices:")
    apply(context, limited)
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    priced = _with_new_price().replace("    prices:", f"    limits: [{capped}]\n    prices:")
    _described(context, priced)
    (cap,) = show_limits(context, customer_id="acme")
    assert cap.escrow.settled == 5_000_000


def test_r32_invoiced_periods_stay_without_the_added_price(store: SqlStore) -> None:
    """Late usage of an invoiced period does not bring in what had no price then."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    _move(context, "2026-03-05T00:00:00Z")
    usage.send("7", at="2026-03-04T00:00:00Z", dimensions={"model": "new"})
    _described(context, _with_new_price())
    usage.send("1500", at="2026-02-03T00:00:00Z")
    usage.send("9", at="2026-02-03T00:00:00Z", dimensions={"model": "new"})
    draft = upcoming_invoice(context, customer_id="acme")
    assert [(line["kind"], line["price"], line["quantity"]) for line in draft["lines"]] == [
        ("recurring", "base", "1"),
        ("usage", "new", "7"),
        ("late_usage", "tokens", "1500"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        _with_new_price().replace('unit_price: "0.01"', 'unit_price: "0.02"'),
        _with_new_price().replace("where: {model: new}", "where: {model: large, region: eu}"),
    ],
    ids=["changed price", "takes usage from a price"],
)
def test_r37_other_versions_leave_subscriptions_on_theirs_and_apply_says_so(
    store: SqlStore, text: str
) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    assert _described(context, text) == ["1 subscription stays on version 1"]
    assert show_subscription(context, subscription_id="sub-1").plan_version == 1


@pytest.mark.parametrize(
    ("effective_from", "since"),
    [
        # As of when it is applied.
        (None, "2026-01-31T10:00:00Z"),
        # In the middle of the open period, and at the start of the next one.
        ("2026-02-05T00:00:00Z", "2026-02-05T00:00:00Z"),
        ("2026-02-28T10:00:00Z", "2026-02-28T10:00:00Z"),
    ],
)
def test_r32_an_added_price_that_is_not_there_at_the_start_of_the_open_period_charges_the_next(
    memory_store: SqlStore, effective_from: str | None, since: str
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    if effective_from is None:
        _move(context, since := "2026-02-03T00:00:00Z")
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    moves = [
        "1 subscription moves to version 2: what it adds is charged from the first period on that "
        f"starts at or after {since}"
    ]
    text = _with_new_price(effective_from)
    assert _described(context, text, mode=ApplyMode.DRY_RUN) == moves
    assert _described(context, text) == moves
    starts = {"new": parse_instant("2026-02-28T10:00:00Z")}
    assert show_subscription(context, subscription_id="sub-1").price_starts == starts
    draft = upcoming_invoice(context, customer_id="acme")
    assert ([each["quantity"] for each in draft["unpriced"]], draft["total"]) == (["5"], "20.00")
    _move(context, "2026-03-01T00:00:00Z")
    usage.send("7", at="2026-02-28T12:00:00Z", dimensions={"model": "new"})
    draft = upcoming_invoice(context, customer_id="acme")
    # 20.00 in advance and 7 × 1.00.
    assert (draft["unpriced"], draft["total"]) == ([], "27.00")


def test_r32_a_price_that_would_take_usage_from_an_invoice_leaves_the_subscription(
    store: SqlStore,
) -> None:
    """Sub-2, which started later and has weekly periods, has invoiced that usage already."""
    context = make_context(store)
    weekly = """
plans:
  - key: weekly
    currency: USD
    billing_period: week
    prices: [{key: all, kind: usage, meter: tokens, model: per_unit, unit_price: "1"}]
subscriptions:
  - {id: sub-2, customer: acme, plan: weekly, start: 2026-02-01T00:00:00Z}
"""
    apply(context, CATALOG)
    apply(context, weekly)
    Usage(context).send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    _move(context, "2026-02-09T00:00:00Z")
    assert _described(context, _with_new_price()) == ["1 subscription stays on version 1"]


def test_r32_a_pending_move_goes_on_to_the_version_that_adds_the_price_and_the_open_period_stays(
    memory_store: SqlStore,
) -> None:
    """What is open is on the version before: its other prices are not those of the new one."""
    context = make_context(memory_store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    dearer = CATALOG.replace('"20.00"', '"25.00"')
    apply(context, dearer)
    move_version(context, subscription_id="sub-1", wish=MoveWish(version=2))
    assert _described(context, _with_new_price().replace('"20.00"', '"25.00"')) == [
        "1 subscription moves to version 3 when its pending move takes effect"
    ]
    moved = show_subscription(context, subscription_id="sub-1")
    assert [move.version for move in moved.moves] == [3]
    assert moved.price_starts == {}
    draft = upcoming_invoice(context, customer_id="acme")
    assert [each["quantity"] for each in draft["unpriced"]] == ["5"]
    _move(context, "2026-03-01T00:00:00Z")
    usage.send("7", at="2026-02-28T12:00:00Z", dimensions={"model": "new"})
    draft = upcoming_invoice(context, customer_id="acme")
    # 25.00 in advance and 7 × 1.00.
    assert (draft["unpriced"], draft["total"]) == ([], "32.00")


def test_r32_a_price_that_ties_with_one_of_an_add_on_leaves_the_subscription_on_its_version(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    plain = "{id: sub-1, customer: acme, plan: pro,"
    addon = """
addons:
  - key: more
    prices:
      - {key: own, kind: usage, meter: tokens, where: {model: new}, model: per_unit,
         unit_price: "2"}
"""
    apply(context, CATALOG.replace(plain, f"{plain} addons: [more],") + addon)
    assert _described(context, _with_new_price()) == ["1 subscription stays on version 1"]
    assert show_subscription(context, subscription_id="sub-1").plan_version == 1
