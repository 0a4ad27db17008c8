"""The report has the form of the contract."""

from billing_server.services.scenario_report import ScenarioEvent, scenario_report
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def test_a_report_holds_every_part_of_the_contract_in_order_of_time(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    Usage(context).send("1", at="2026-01-31T10:00:00.5Z", customer="nobody")
    earlier = ScenarioEvent(parse_instant("2026-01-30T00:00:00Z"), "customer.created", {"a": "b"})
    report = scenario_report(context, events=(earlier,))
    assert list(report) == [
        "invoices",
        "credit_notes",
        "subscriptions",
        "balances",
        "ledger",
        "events",
    ]
    assert [invoice["number"] for invoice in report["invoices"]] == ["INV-000001"]
    assert report["balances"]["acme"]["USD"]["account"] == "0.00"
    assert [event["event"] for event in report["events"]] == [
        "customer.created",
        "invoice.issued",
        "usage.quarantined",
    ]
    (subscription,) = report["subscriptions"]
    assert subscription["current_period"]["end"] == "2026-02-28T10:00:00Z"
