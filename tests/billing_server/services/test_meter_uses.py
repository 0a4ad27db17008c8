"""A meter that a limit reads and no price is no meter without a price. R32."""

import pytest

from billing_server.services.context import ServiceContext
from billing_server.services.meter_uses import load_meter_uses
from billing_server.services.pages import PageRequest
from billing_server.services.unpriced_alerts import close_priced_alerts, list_alerts
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Usage, apply, make_context

LIMIT = "{key: all-a-day, meter: METER, window: day, max: '1000', enforcement: soft}"
METERS = CATALOG.replace(
    "meters:\n", "meters:\n  - {key: all, aggregation: sum}\n  - {key: new, aggregation: sum}\n"
)
"""Two more meters, that no price reads."""


def limited(meter: str) -> str:
    """Returns the catalog with a limit of the plan on a meter."""
    limits = f"    limits: [{LIMIT.replace('METER', meter)}]\n"
    return METERS.replace("    prices:\n", f"{limits}    prices:\n", 1)


@pytest.fixture
def context(store: SqlStore) -> ServiceContext:
    return make_context(store)


def unpriced(context: ServiceContext) -> tuple[list[str], list[str]]:
    """Returns the meters of the open alerts and those on the upcoming invoice."""
    alerts = list_alerts(context, page=PageRequest()).entries
    shown = upcoming_invoice(context, customer_id="acme")["unpriced"]
    return (
        [alert.meter_key for alert in alerts if alert.close_time is None],
        [usage["meter"] for usage in shown],
    )


def test_r32_a_meter_for_limits_alone_is_not_told_and_one_without_either_is(
    context: ServiceContext,
) -> None:
    apply(context, limited("all"))
    usage = Usage(context)
    for meter in ("all", "new", "all"):
        usage.send("5", at="2026-02-02T00:00:00Z", meter=meter)
    assert unpriced(context) == (["new"], ["new"])
    with context.store.read() as unit:
        uses = load_meter_uses(unit)
    assert (uses.priced, uses.limited) == ({"tokens"}, {"all"})


def test_r32_what_a_price_reads_with_other_dimensions_is_told_though_a_limit_reads_it(
    context: ServiceContext,
) -> None:
    apply(context, limited("tokens"))
    Usage(context).send("5", at="2026-02-02T00:00:00Z", dimensions={"model": "new"})
    assert unpriced(context) == (["tokens"], ["tokens"])


def test_r32_an_alert_closes_when_a_limit_comes_and_a_customers_own_limit_is_one(
    context: ServiceContext,
) -> None:
    apply(context, METERS)
    usage = Usage(context)
    usage.send("5", at="2026-02-02T00:00:00Z", meter="all")
    assert unpriced(context) == (["all"], ["all"])
    own = f"customers: [{{id: acme, limits: [{LIMIT.replace('METER', 'all')}]}}]"
    apply(context, own)
    close_priced_alerts(context)
    assert unpriced(context) == ([], [])
    usage.send("5", at="2026-02-03T00:00:00Z", meter="all")
    assert unpriced(context) == ([], [])
    # Without the limit it is told again.
    apply(context, "customers: [{id: acme, limits: []}]")
    usage.send("5", at="2026-02-04T00:00:00Z", meter="all")
    assert unpriced(context) == (["all"], ["all"])
