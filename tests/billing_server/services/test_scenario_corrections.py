"""Corrections of usage are verbs of a scenario."""

import pytest

from billing_server.services.play_scenario import play_scenario
from billing_server.services.scenario import parse_scenario
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import format_instant
from metering.errors import ValidationError
from tests.billing_server.meters import METERS
from tests.billing_server.world import make_context

CATALOG = METERS.split("customers:", maxsplit=1)[0].replace("\n", "\n  ")
SCENARIO = f"""
catalog:{CATALOG}
timeline:
  - {{at: "2026-04-01T00:00:00Z", do: create_customer, customer: acme}}
  - {{at: "2026-04-01T00:00:00Z", do: subscribe, customer: acme, plan: p, subscription: s-1}}
  - {{at: "2026-04-02T00:00:00Z", do: usage, customer: acme, quantities: {{calls: "1"}},
     event_id: e1}}
  - {{at: "2026-04-02T00:00:00Z", do: usage, customer: acme, quantities: {{peak: "9"}},
     event_id: e2}}
  - {{at: "2026-04-03T00:00:00Z", do: void_usage, event_id: e1}}
  - {{at: "2026-04-04T00:00:00Z", do: amend_usage, event_id: e2, quantities: {{peak: "4"}}}}
  - {{at: "2026-04-05T00:00:00Z", do: adjust_usage, customer: acme, meter: calls, quantity: "7",
     event_time: "2026-04-02T00:00:00Z", reason: found in the log}}
until: "2026-04-06T00:00:00Z"
"""


def test_void_amend_and_adjust_are_played(memory_store: SqlStore) -> None:
    scenario = parse_scenario(SCENARIO, name="s.yaml")
    context = make_context(memory_store, start=format_instant(scenario.start))
    events = play_scenario(context, scenario=scenario)
    lines = upcoming_invoice(context, customer_id="acme")["lines"]
    assert {line["price"]: line["amount"] for line in lines} == {"calls": "7.00", "peak": "4.00"}
    told = ["usage.voided", "usage.amended", "usage.adjusted"]
    assert [event.kind for event in events if event.kind in told] == told


def test_mistakes_of_a_correction_are_located() -> None:
    wrong = (
        SCENARIO.replace('event_id: e1}}\n  - {at: "2026-04-04', "x")
        .replace("do: void_usage, event_id: e1", "do: void_usage, event: e1")
        .replace("meter: calls, quantity", "quantity")
    )
    with pytest.raises(ValidationError) as raised:
        parse_scenario(wrong, name="s.yaml")
    found = {(each.field, each.reason) for each in raised.value.violations}
    assert ("timeline[4].event_id", "FIELD_MISSING") in found
    assert ("timeline[4].event", "FIELD_UNKNOWN") in found
    assert ("timeline[6].meter", "FIELD_MISSING") in found
